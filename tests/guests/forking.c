// fork: two processes that were one. What each stores the other does not see, whatever kind of memory it is; what they share they
// do share; threads other than the caller's are gone in the child. With an argument: many children at once, or one after the other, by which no
// memory is lost.
#include "story.h"
#include <pthread.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

static int variable = 1;

static int exit_of(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void relations(void) {
    pid_t own = getpid();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int is_right = getppid() == own && getpid() != own && gettid() == getpid() && getpgrp() == getpgid(own);
        _exit(is_right ? 7 : 8);
    }
    check("the child has a number of its own", pid > 0 && pid != own);
    show("the child's status", exit_of(pid));
    show("waiting once more", wait(NULL));
}

// Both sides write after the fork; each must see only its own.
static void isolation(const char *what, volatile char *memory, size_t size) {
    memset((char *)memory, 'p', size);
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        char go;
        for (size_t at = 0; at < size; at += 2048)
            if (memory[at] != 'p')
                _exit(1);
        for (size_t at = 0; at < size; at += 4096)
            memory[at] = 'c';
        if (write(up[1], "x", 1) != 1 || read(down[0], &go, 1) != 1)
            _exit(2);
        for (size_t at = 0; at < size; at += 2048)
            if (memory[at] != (at % 4096 == 0 ? 'c' : 'p'))
                _exit(3);
        _exit(0);
    }
    char go;
    int wrong = read(up[0], &go, 1) != 1;
    for (size_t at = 0; at < size; at += 2048)
        wrong += memory[at] != 'p';
    for (size_t at = 2048; at < size; at += 4096)
        memory[at] = 'q';
    wrong += write(down[1], "x", 1) != 1;
    wrong += exit_of(pid);
    // Alone again, it writes to all of it.
    for (size_t at = 0; at < size; at += 512)
        memory[at] = 'r';
    for (size_t at = 0; at < size; at += 512)
        wrong += memory[at] != 'r';
    check(what, wrong == 0);
    for (int end = 0; end < 2; end++)
        close(down[end]), close(up[end]);
}

static void shared(void) {
    int *word = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    word[5] = 1;
    pid_t pid = fork();
    if (pid == 0) {
        // One page that both know, one that nobody has touched.
        word[5]++;
        word[8192] = 42;
        _exit(0);
    }
    exit_of(pid);
    show("shared memory, touched before", word[5]);
    show("shared memory, touched by the child", word[8192]);
    munmap(word, 1 << 16);
}

static volatile int runs = 1;
static volatile long counted;

static void *count(void *unused) {
    (void)unused;
    while (runs)
        counted++;
    return NULL;
}

static void with_threads(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, count, NULL);
    int wrong = 0;
    for (int round = 0; round < 10; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            // Nobody counts here.
            long before = counted;
            for (volatile int wait = 0; wait < 100000; wait++) {}
            _exit(counted == before ? 0 : 1);
        }
        wrong += exit_of(pid);
    }
    runs = 0;
    pthread_join(thread, NULL);
    check("a thread of the parent is none of the child", wrong == 0);
}

// Each generation's status is the number of those below it.
static void generations(int depth) {
    while (depth > 0) {
        pid_t pid = fork();
        if (pid != 0)
            _exit(exit_of(pid) + 1);
        depth--;
    }
    _exit(0);
}

static void many(void) {
    enum { CHILDREN = 100 };
    int gate[2];
    pid_t children[CHILDREN];
    if (pipe(gate) != 0)
        return;
    int made = 0, right = 0;
    for (int child = 0; child < CHILDREN; child++) {
        children[child] = fork();
        if (children[child] == 0) {
            char byte;
            close(gate[1]);
            // All of them wait until the parent has made the last.
            _exit(read(gate[0], &byte, 1) == 0 ? child : 255);
        }
        made += children[child] > 0;
    }
    close(gate[0]);
    close(gate[1]);
    for (int child = 0; child < CHILDREN; child++)
        right += exit_of(children[child]) == child;
    show("children at once", made);
    show("with the right status", right);
}

static long free_memory(void) {
    struct sysinfo info;
    sysinfo(&info);
    return (long)(info.freeram * info.mem_unit);
}

static void again_and_again(void) {
    size_t size = 1 << 16;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, size);
    long before = 0, right = 0;
    for (int round = 0; round < 220; round++) {
        if (round == 20)
            before = free_memory();
        pid_t pid = fork();
        if (pid == 0) {
            for (size_t at = 0; at < size; at += 1 << 14)
                memory[at] = 2;
            _exit(3);
        }
        right += exit_of(pid) == 3;
    }
    // What follows may read parts of the C library that nobody has needed before.
    long after = free_memory();
    show("forks one after the other", right);
    // A host has other things to do with its memory. A page a fork would be 800 KiB; a vCPU that was not needed before is less than 100.
    int is_partition = getenv("SEPTUM") != NULL || getpid() == 1;
    check("no memory is lost", !is_partition || before - after < 256 << 10);
    munmap(memory, size);
}

int main(int count, char **arguments) {
    if (count > 1) {
        strcmp(arguments[1], "many") == 0 ? many() : again_and_again();
        return 0;
    }
    relations();
    char on_stack[3 * 4096];
    isolation("variables", (char *)&variable, sizeof variable);
    isolation("the stack", on_stack, sizeof on_stack);
    char *heap = malloc(1 << 20), *small = malloc(100000);
    isolation("the heap", heap, 1 << 20);
    isolation("small pieces of the heap", small, 100000);
    // Two of them, wherever they begin.
    char *large = mmap(NULL, 6 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(large, 6 << 20, MADV_HUGEPAGE);
    isolation("large pages", large, 6 << 20);
    char *again = mmap(NULL, 6 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(again, 'r', 6 << 20);
    // A part of one with other rights; each side writes near it.
    char *cut = again + (3 << 20);
    mprotect(cut, 4096, PROT_READ);
    isolation("beside a cut", cut + 4096, 65536);
    pid_t reader = fork();
    if (reader == 0)
        _exit(*cut == 'r' && again[5 << 20] == 'r' ? 0 : 1);
    show("the cut", exit_of(reader));
    // What follows is not about much memory.
    munmap(large, 6 << 20);
    munmap(again, 6 << 20);
    free(heap);
    free(small);
    shared();
    with_threads();
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        generations(6);
    show("generations", exit_of(pid));
    return 0;
}
