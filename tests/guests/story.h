// What the guest programs share: three ways to say what was seen.
//
// A story prints only what must be the same on every Linux. What differs between two machines it judges itself and
// prints as `ok` or `FAIL`; the harness fails a program that prints a line starting with FAIL.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
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

static inline double seconds_between(struct timespec start, struct timespec end) {
    return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

static inline struct timespec now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time;
}
