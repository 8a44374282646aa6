// getdents, getdents64: buffers that hold too little, nothing, or are not there; and what is no directory.
#include "../story.h"

struct entry {
    uint64_t inode;
    int64_t next;
    unsigned short len;
    unsigned char type;
    char name[];
};

static int compare(const void *a, const void *b) {
    return strcmp(*(char **)a, *(char **)b);
}

int main(void) {
    enter_story_directory();
    mkdir("d", 0755);
    close(new_file("d/file", "x"));
    mkdir("d/inner", 0755);
    symlink("x", "d/soft");
    mkfifo("d/fifo", 0644);
    int directory = open("d", O_RDONLY | O_DIRECTORY);
    char buffer[4096] __attribute__((aligned(8)));
    long count = syscall(SYS_getdents64, directory, buffer, sizeof buffer);
    char *lines[20];
    int lines_count = 0;
    for (long at = 0; at < count;) {
        struct entry *entry = (void *)(buffer + at);
        if (entry->len % 8 != 0 || entry->inode == 0)
            puts("FAIL entry");
        asprintf(&lines[lines_count++], "%s type %d", entry->name, entry->type);
        at += entry->len;
    }
    qsort(lines, (size_t)lines_count, sizeof *lines, compare);
    for (int i = 0; i < lines_count; i++)
        puts(lines[i]);
    SHOW(syscall(SYS_getdents64, directory, buffer, sizeof buffer));
    SHOW(syscall(SYS_getdents64, directory, buffer, 0));
    SHOW(lseek(directory, 0, SEEK_SET));
    SHOW(syscall(SYS_getdents64, directory, buffer, 0));
    SHOW(syscall(SYS_getdents64, directory, buffer, 10));
    SHOW(syscall(SYS_getdents64, directory, NOWHERE, sizeof buffer));
    // One entry at a time: none comes twice, none is missing.
    lseek(directory, 0, SEEK_SET);
    int seen = 0;
    while ((count = syscall(SYS_getdents64, directory, buffer, 32)) > 0)
        seen++;
    show("one at a time", seen);
    show("then", count);
    lseek(directory, 0, SEEK_SET);
    count = syscall(SYS_getdents64, directory, buffer, 32);
    int64_t place = ((struct entry *)(void *)buffer)->next;
    CHECK(lseek(directory, 0, SEEK_CUR) == place);
    lseek(directory, 0, SEEK_SET);
    CHECK(lseek(directory, place, SEEK_SET) == place);
    seen = 1;
    while ((count = syscall(SYS_getdents64, directory, buffer, 32)) > 0)
        seen++;
    show("from a place on", seen);
    lseek(directory, 0, SEEK_SET);
    CHECK(syscall(SYS_getdents, directory, buffer, sizeof buffer) > 100);
    SHOW(syscall(SYS_getdents, directory, buffer, sizeof buffer));
    SHOW(syscall(SYS_getdents64, -1, buffer, sizeof buffer));
    SHOW(syscall(SYS_getdents64, open("d/file", O_RDONLY), buffer, sizeof buffer));
    SHOW(syscall(SYS_getdents64, open("d", O_PATH), buffer, sizeof buffer));
    SHOW(syscall(SYS_getdents, open("/dev/null", O_RDONLY), buffer, sizeof buffer));
    unlink("d/file");
    unlink("d/soft");
    unlink("d/fifo");
    rmdir("d/inner");
    rmdir("d");
    lseek(directory, 0, SEEK_SET);
    SHOW(syscall(SYS_getdents64, directory, buffer, sizeof buffer));
    return 0;
}
