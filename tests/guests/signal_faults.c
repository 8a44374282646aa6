// A fault becomes a signal with an address and a reason, and the program jumps out of it.
#include "story.h"
#include <setjmp.h>
#include <signal.h>

static sigjmp_buf back;
static volatile uintptr_t address;
static volatile int code;
static volatile int zero = 0;
static volatile int sink;

static void handler(int signal, siginfo_t *info, void *context) {
    (void)context;
    address = (uintptr_t)info->si_addr;
    code = info->si_code;
    siglongjmp(back, signal);
}

static void tell(const char *what, int signal, uintptr_t base) {
    printf("%s: %s code %d offset %#lx\n", what, sigabbrev_np(signal), code, (unsigned long)(address - base));
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    int signal;

    if ((signal = sigsetjmp(back, 1)) == 0)
        *(volatile int *)0x10 = 1;
    tell("write near null", signal, 0);

    char *readable = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((signal = sigsetjmp(back, 1)) == 0)
        *(volatile char *)(readable + 5000) = 1;
    tell("write to read-only memory", signal, (uintptr_t)readable);

    mprotect(readable, 4096, PROT_NONE);
    if ((signal = sigsetjmp(back, 1)) == 0)
        sink = *(volatile char *)(readable + 123);
    tell("read of forbidden memory", signal, (uintptr_t)readable);
    printf("its other page still reads %d\n", readable[4096]);

    munmap(readable, 8192);
    if ((signal = sigsetjmp(back, 1)) == 0)
        sink = *(volatile char *)(readable + 4096);
    tell("read of unmapped memory", signal, (uintptr_t)readable);

    if ((signal = sigsetjmp(back, 1)) == 0)
        sink = *(volatile char *)0x8000000000001234UL;
    tell("no canonical address", signal, 0);

    if ((signal = sigsetjmp(back, 1)) == 0)
        sink = 7 / zero;
    printf("division: %s code %d\n", sigabbrev_np(signal), code);

    if ((signal = sigsetjmp(back, 1)) == 0)
        __asm__ volatile("ud2");
    printf("no instruction: %s code %d\n", sigabbrev_np(signal), code);

    if ((signal = sigsetjmp(back, 1)) == 0)
        __asm__ volatile("cli");
    printf("privileged instruction: %s code %d\n", sigabbrev_np(signal), code == SI_KERNEL);

    for (int i = 0; i < 100; i++)
        if (sigsetjmp(back, 1) == 0)
            *(volatile int *)(uintptr_t)(i * 8) = 1;
    check("a hundred faults in a row", address == 99 * 8);

    // A bad address given to the kernel is an error, not a signal.
    show("write from a bad address", write(1, (void *)16, 4));
    show("stat of a bad address", stat((const char *)16, (struct stat *)32));
    return 0;
}
