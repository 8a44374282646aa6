// dup, dup2, dup3: numbers, limits, and what is closed on the way.
#include "../story.h"
#include <sys/resource.h>

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789");
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &limit);
    SHOW(dup(-1));
    SHOW(dup(63));
    SHOW(dup(1000000));
    SHOW(dup2(file, 63));
    SHOW(dup2(file, 64));
    SHOW(dup2(file, -1));
    SHOW(dup2(-1, 20));
    SHOW(dup2(-1, -1));
    SHOW(dup2(62, 62));
    SHOW(dup2(63, 63));
    SHOW(dup3(file, 61, O_CLOEXEC));
    SHOW(fcntl(61, F_GETFD));
    SHOW(dup3(61, 60, 0));
    SHOW(fcntl(60, F_GETFD));
    SHOW(dup3(file, 60, O_NONBLOCK));
    SHOW(dup3(file, file, 0));
    SHOW(dup3(-1, -1, 0));
    SHOW(dup3(file, 64, 0));
    SHOW(dup3(-1, 20, 0));
    SHOW(dup2(61, file) == file);
    SHOW(fcntl(file, F_GETFD));
    // The end that was there is closed: who reads the other one is told.
    int ends[2];
    pipe(ends);
    char byte;
    SHOW(dup2(file, ends[1]) == ends[1]);
    SHOW(read(ends[0], &byte, 1));
    int count = 0;
    while (dup(file) >= 0)
        count++;
    show("then no more", dup(file));
    CHECK(count > 40 && count < 64);
    SHOW(dup2(file, 63));
    SHOW(dup3(file, 63, 0));
    SHOW(fcntl(file, F_DUPFD, 0));
    SHOW(pipe(ends));
    SHOW(open("file", O_RDONLY));
    close(40);
    SHOW(pipe(ends));
    SHOW(dup(file));
    // A lower limit closes nothing.
    limit.rlim_cur = 30;
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    SHOW(fcntl(63, F_GETFD));
    close(35);
    SHOW(dup(file));
    SHOW(dup2(file, 35));
    SHOW(dup2(63, 29));
    return 0;
}
