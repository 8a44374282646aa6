// What the guest programs share: three ways to say what was seen.
//
// A story prints only what must be the same on every Linux. What differs between two machines it judges itself and
// prints as `ok` or `FAIL`; the harness fails a program that prints a line starting with FAIL.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
// Stories hand over what a compiler rightly warns of: the answer is what they are about.
#pragma GCC diagnostic ignored "-Wnonnull"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Wunused-result"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// A judgement about something that is not the same twice.
static inline void check(const char *what, int is_true) {
    int error = errno;
    if (is_true)
        printf("ok %s\n", what);
    else
        printf("FAIL %s (errno %s)\n", what, error ? strerrorname_np(error) : "0");
}

// The result of a call: its value, or the name of its error.
static inline long show(const char *what, long result) {
    int error = errno;
    if (result == -1)
        printf("%s: %s\n", what, strerrorname_np(error));
    else
        printf("%s: %ld\n", what, result);
    return result;
}

// The same, with the call itself as what it is called.
#define SHOW(call) show(#call, (long)(call))
#define WORKS(call) works(#call, (long)(call))
#define CHECK(condition) check(#condition, (condition))

// The result of a call that gives back a descriptor or an address: only whether it worked.
static inline long works(const char *what, long result) {
    int error = errno;
    if (result == -1)
        printf("%s: %s\n", what, strerrorname_np(error));
    else
        printf("%s: works\n", what);
    return result;
}

// Goes to the directory that the harness chose, and makes it; stays where it is when there is none.
static inline void enter_story_directory(void) {
    const char *directory = getenv("STORY_DIRECTORY");
    if (directory == NULL)
        return;
    if (mkdir(directory, 0755) != 0 || chdir(directory) != 0) {
        perror(directory);
        exit(99);
    }
}

// An address that nothing is at.
#define NOWHERE ((void *)8)

// The last `size` bytes before a page that nobody may touch.
static inline char *before_the_end(size_t size) {
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + 4096, 4096, PROT_NONE) != 0)
        exit(98);
    return pages + 4096 - size;
}

// A new file with this text, open for reading and writing.
static inline int new_file(const char *name, const char *text) {
    int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text))
        exit(97);
    return file;
}

// A part of the story that happens in another process; it ends before this goes on.
static inline void in_a_child(void (*part)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        part();
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        printf("FAIL the child ended with %#x\n", (unsigned)status);
}

static inline double seconds_between(struct timespec start, struct timespec end) {
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

static inline struct timespec now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time;
}
