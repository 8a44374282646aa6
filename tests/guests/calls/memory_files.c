// memfd_create: a file without a name, which grows, shrinks, is mapped and inherited.
#include "../story.h"

int main(void) {
    int fd = memfd_create("a story", MFD_CLOEXEC);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(memfd_create("", 0), F_GETFD));
    struct stat status;
    fstat(fd, &status);
    printf("mode %o, %ld bytes\n", status.st_mode, (long)status.st_size);
    SHOW(write(fd, "hello", 5));
    SHOW(ftruncate(fd, 10000));
    fstat(fd, &status);
    SHOW(status.st_size);
    char *place = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("%.5s\n", place);
    place[9999] = 'z';
    char byte;
    SHOW(pread(fd, &byte, 1, 9999));
    printf("%c\n", byte);
    SHOW(fallocate(fd, 0, 0, 20000));
    fstat(fd, &status);
    SHOW(status.st_size);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        place[0] = 'J';
        _exit(0);
    }
    waitpid(child, NULL, 0);
    printf("%.5s\n", place);
    char path[64], target[64] = {0};
    sprintf(path, "/proc/self/fd/%d", fd);
    SHOW(readlink(path, target, sizeof target - 1));
    puts(target);
    int again = open(path, O_RDONLY);
    SHOW(pread(again, target, 5, 0));
    SHOW(write(again, "x", 1));
    char name[300];
    memset(name, 'n', sizeof name);
    name[250] = 0;
    SHOW(memfd_create(name, 0));
    name[249] = 0;
    WORKS(memfd_create(name, 0));
    SHOW(memfd_create("x", 0x1000));
    SHOW(memfd_create(NULL, 0));
    SHOW(memfd_create(NOWHERE, 0));
    return 0;
}
