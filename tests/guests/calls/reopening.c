// /proc/self/fd, /dev/fd, /dev/stdin: opening again what is open, with other rights and a position of its own.
#include "../story.h"

static char path[64];

static const char *of(int fd) {
    sprintf(path, "/proc/self/fd/%d", fd);
    return path;
}

int main(void) {
    enter_story_directory();
    char text[16] = {0}, target[4096] = {0};
    int file = new_file("file", "0123456789");
    lseek(file, 5, SEEK_SET);
    int again = open(of(file), O_RDONLY);
    SHOW(read(again, text, 3));
    puts(text);
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(write(again, "x", 1));
    int writing = open(of(again), O_WRONLY | O_APPEND);
    SHOW(write(writing, "more", 4));
    SHOW(lseek(file, 0, SEEK_END));
    SHOW(readlink(of(file), target, sizeof target - 1) > 0);
    puts(strrchr(target, '/'));
    struct stat status;
    SHOW(lstat(of(file), &status));
    printf("%o\n", status.st_mode & S_IFMT);
    // What has no name any more can be opened this way still.
    unlink("file");
    memset(target, 0, sizeof target);
    SHOW(readlink(of(file), target, sizeof target - 1) > 0);
    puts(strrchr(target, '/'));
    SHOW(read(open(of(file), O_RDONLY), text, 4));
    SHOW(open(of(77), O_RDONLY));
    SHOW(open(of(file), O_RDONLY | O_NOFOLLOW));
    SHOW(open(of(file), O_RDONLY | O_DIRECTORY));
    int ends[2];
    pipe(ends);
    int other = open(of(ends[0]), O_WRONLY);
    SHOW(write(other, "pipe", 4));
    SHOW(read(ends[0], text, sizeof text));
    int directory = open(".", O_RDONLY | O_DIRECTORY);
    sprintf(path, "/proc/self/fd/%d/inside", directory);
    WORKS(open(path, O_CREAT | O_RDWR, 0644));
    SHOW(access("inside", F_OK));
    SHOW(unlink("inside"));
    sprintf(path, "/dev/fd/%d", ends[0]);
    WORKS(open(path, O_RDONLY));
    dup2(ends[0], 0);
    SHOW(write(ends[1], "abc", 3));
    SHOW(read(open("/dev/stdin", O_RDONLY), text, sizeof text));
    int reading = open("/proc/self/exe", O_RDONLY);
    SHOW(pread(reading, text, 4, 0));
    SHOW(memcmp(text, "\177ELF", 4));
    return 0;
}
