// Variables of a thread, in the program and in a library, with initial values and alignment.
#include "story.h"

static __thread int counted = 7;
static __thread char zeroed[5000];
static __thread _Alignas(64) long aligned = 123;
_Thread_local const char *text = "initialized";
extern __thread int counted_elsewhere __attribute__((weak));

__attribute__((noinline)) static int *address(void) { return &counted; }

int main(void) {
    show("initial value", counted);
    counted += 5;
    show("changed", *address());
    int bits = 0;
    for (size_t i = 0; i < sizeof zeroed; i++)
        bits |= zeroed[i];
    show("zeroed", bits);
    printf("%ld %d %s\n", aligned, ((uintptr_t)&aligned & 63) == 0, text);
    unsigned long base;
    __asm__("mov %%fs:0, %0" : "=r"(base));
    check("the thread pointer points at itself", *(unsigned long *)base == base);
    errno = 5;
    show("errno is one of them", errno);
    // The canary that compilers put on the stack is random and ends in a zero byte.
    unsigned long canary;
    __asm__("mov %%fs:0x28, %0" : "=r"(canary));
    check("the canary is set", canary != 0 && (canary & 0xff) == 0);
    unsigned long through_call = 0;
    syscall(SYS_arch_prctl, 0x1003, &through_call);
    check("the kernel knows it too", through_call == base);
    unsigned long gs = 1;
    show("the other base", syscall(SYS_arch_prctl, 0x1004, &gs));
    show("is free", (long)gs);
    show("set it", syscall(SYS_arch_prctl, 0x1001, &base));
    unsigned long value;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(value));
    check("it is used", value == base);
    getpid();
    __asm__ volatile("mov %%gs:0, %0" : "=r"(value));
    check("and survives a system call", value == base);
    return 0;
}
