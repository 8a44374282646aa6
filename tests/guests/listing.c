// Listing directories: every name once, whatever their number, with kinds, and again from the start.
#include "story.h"
#include <dirent.h>

static int compare(const void *left, const void *right) { return strcmp(*(char *const *)left, *(char *const *)right); }

static void list(const char *path, int is_verbose) {
    char *names[2000];
    int count = 0;
    unsigned long hash = 5381;
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char line[300];
        snprintf(line, sizeof line, "%c %s",
                 entry->d_type == DT_DIR ? 'd' : entry->d_type == DT_LNK ? 'l' : entry->d_type == DT_REG ? 'f' : '?',
                 entry->d_name);
        names[count++] = strdup(line);
        if (entry->d_ino == 0)
            puts("FAIL an inode number of 0");
    }
    closedir(directory);
    qsort(names, (size_t)count, sizeof *names, compare);
    for (int i = 0; i < count; i++) {
        if (is_verbose)
            printf("  %s\n", names[i]);
        for (const char *c = names[i]; *c; c++)
            hash = hash * 33 + (unsigned char)*c;
        free(names[i]);
    }
    printf("%s: %d names, hash %#lx\n", path, count, hash);
}

int main(void) {
    enter_story_directory();
    mkdir("many", 0755);
    mkdir("few", 0755);
    list("few", 1);
    mkdir("few/directory", 0755);
    symlink("nowhere", "few/link");
    close(open("few/file", O_CREAT, 0644));
    list("few", 1);
    char name[100];
    for (int i = 0; i < 400; i++) {
        snprintf(name, sizeof name, "many/%0*d", 4 + i % 40, i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    list("many", 0);

    DIR *directory = opendir("many");
    int count = 0;
    long middle = 0;
    char expected[256] = "";
    for (struct dirent *entry; (entry = readdir(directory)); count++) {
        if (count == 200)
            strcpy(expected, entry->d_name);
        if (count == 199)
            middle = telldir(directory);
    }
    show("entries", count);
    seekdir(directory, middle);
    struct dirent *entry = readdir(directory);
    check("back to the middle", entry && strcmp(entry->d_name, expected) == 0);
    rewinddir(directory);
    for (count = 0; readdir(directory);)
        count++;
    show("entries after rewinding", count);

    // Removing while listing: everything is seen and removed.
    rewinddir(directory);
    int removed = 0;
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            removed += unlinkat(dirfd(directory), entry->d_name, 0) == 0;
    closedir(directory);
    show("removed", removed);
    list("many", 1);
    show("rmdir", rmdir("many"));
    show("opendir of a file", opendir("few/file") ? 0 : -1);
    char buffer[16];
    show("a buffer for no entry", syscall(SYS_getdents64, open("few", O_RDONLY), buffer, sizeof buffer));
    show("entries of a file", syscall(SYS_getdents64, open("few/file", O_RDONLY), buffer, sizeof buffer));
    return 0;
}
