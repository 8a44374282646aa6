// How a program dies: each argument is one way, and each way has its signal.
#include "story.h"
#include <signal.h>
#include <sys/time.h>

static volatile int zero = 0;
static volatile int seven = 7;
static int (*volatile nowhere)(void) = NULL;

__attribute__((noinline)) static int deeper(volatile char *above, unsigned long depth) {
    volatile char frame[4096];
    frame[0] = above ? above[0] : 1;
    frame[4095] = (char)depth;
    return deeper(frame, depth + 1) + frame[0];
}

static void *page(int protection) {
    return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "";
    puts("last words");
    fflush(stdout);
    if (strcmp(way, "abort") == 0)
        abort();
    if (strcmp(way, "null-read") == 0)
        return *(volatile int *)0;
    if (strcmp(way, "null-write") == 0)
        *(volatile int *)8 = 1;
    if (strcmp(way, "null-call") == 0)
        return nowhere();
    if (strcmp(way, "non-canonical") == 0)
        return *(volatile int *)0x8000000000000000UL;
    if (strcmp(way, "kernel-address") == 0)
        return *(volatile int *)0xffffffff80000000UL;
    if (strcmp(way, "read-only") == 0)
        *(volatile char *)page(PROT_READ) = 1;
    if (strcmp(way, "code") == 0)
        *(volatile char *)(uintptr_t)main = 1;
    if (strcmp(way, "no-execute") == 0) {
        char *code = page(PROT_READ | PROT_WRITE);
        code[0] = (char)0xc3;
        ((void (*)(void))(uintptr_t)code)();
    }
    if (strcmp(way, "unmapped") == 0) {
        char *memory = page(PROT_READ | PROT_WRITE);
        munmap(memory, 4096);
        memory[0] = 1;
    }
    if (strcmp(way, "divide") == 0)
        return seven / zero;
    if (strcmp(way, "illegal") == 0)
        __asm__ volatile("ud2");
    if (strcmp(way, "privileged") == 0)
        __asm__ volatile("hlt");
    if (strcmp(way, "port") == 0)
        __asm__ volatile("outb %%al, $0x80" ::"a"(0));
    if (strcmp(way, "breakpoint") == 0)
        __asm__ volatile("int3");
    if (strcmp(way, "stack-overflow") == 0)
        return deeper(NULL, 0);
    if (strcmp(way, "beyond-file") == 0) {
        int file = open("/proc/self/exe", O_RDONLY);
        volatile char *memory = mmap(NULL, 64UL << 20, PROT_READ, MAP_PRIVATE, file, 0);
        return memory[63UL << 20];
    }
    if (strcmp(way, "kill") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(way, "raise") == 0)
        raise(atoi(argv[2]));
    if (strcmp(way, "kill-number") == 0)
        kill(getpid(), atoi(argv[2]));
    if (strcmp(way, "timer") == 0) {
        struct itimerval soon = {.it_value = {.tv_usec = 20000}};
        setitimer(ITIMER_REAL, &soon, NULL);
        for (;;)
            pause();
    }
    puts("still alive");
    return 0;
}
