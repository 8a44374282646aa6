// Several processes append to a file, write to a pipe, and count under a lock: nothing is lost, nothing mixed.
#include "../story.h"
#include <sys/file.h>

enum { PROCESSES = 3, ROUNDS = 20 };

static void all(void (*part)(int who)) {
    fflush(stdout);
    for (int who = 0; who < PROCESSES; who++)
        if (fork() == 0) {
            part(who);
            _exit(0);
        }
}

static void finish(void) {
    while (wait(NULL) > 0)
        ;
}

static void append(int who) {
    int file = open("log", O_WRONLY | O_APPEND);
    char line[40];
    for (int i = 0; i < ROUNDS; i++) {
        int len = sprintf(line, "%d says %d and no more\n", who, i);
        write(file, line, (size_t)len);
    }
}

static int ends[2];

static void pour(int who) {
    char block[512];
    memset(block, 'a' + who, sizeof block);
    for (int i = 0; i < ROUNDS; i++)
        write(ends[1], block, sizeof block);
}

static void add_under_flock(int who) {
    (void)who;
    int file = open("counter", O_RDWR);
    for (int i = 0; i < ROUNDS; i++) {
        int value = 0;
        flock(file, LOCK_EX);
        pread(file, &value, sizeof value, 0);
        value++;
        pwrite(file, &value, sizeof value, 0);
        flock(file, LOCK_UN);
    }
}

static void add_under_record_lock(int who) {
    (void)who;
    int file = open("counter", O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 4}, free = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    for (int i = 0; i < ROUNDS; i++) {
        int value = 0;
        fcntl(file, F_SETLKW, &lock);
        pread(file, &value, sizeof value, 0);
        value++;
        pwrite(file, &value, sizeof value, 0);
        fcntl(file, F_SETLK, &free);
    }
}

int main(void) {
    enter_story_directory();
    close(new_file("log", ""));
    all(append);
    finish();
    FILE *log = fopen("log", "r");
    int next[PROCESSES] = {0}, who, number, lines = 0, wrong = 0;
    while (fscanf(log, "%d says %d and no more\n", &who, &number) == 2) {
        wrong += who < 0 || who >= PROCESSES || next[who]++ != number;
        lines++;
    }
    printf("%d lines, %d wrong\n", lines, wrong);
    pipe(ends);
    all(pour);
    close(ends[1]);
    char block[512];
    int blocks = 0, mixed = 0;
    for (size_t got = 0;;) {
        ssize_t count = read(ends[0], block + got, sizeof block - got);
        if (count <= 0)
            break;
        got += (size_t)count;
        if (got < sizeof block)
            continue;
        for (size_t i = 1; i < sizeof block; i++)
            mixed += block[i] != block[0];
        blocks++;
        got = 0;
    }
    finish();
    printf("%d blocks, %d mixed\n", blocks, mixed);
    int counter = new_file("counter", "\0\0\0\0"), value = 0;
    pwrite(counter, &value, sizeof value, 0);
    all(add_under_flock);
    finish();
    pread(counter, &value, sizeof value, 0);
    SHOW(value);
    all(add_under_record_lock);
    finish();
    pread(counter, &value, sizeof value, 0);
    SHOW(value);
    unlink("log");
    return 0;
}
