// System calls that do not exist, and arguments that make no sense.
#include "story.h"

int main(void) {
    show("number 600", syscall(600));
    show("number 100000", syscall(100000));
    show("number -1", syscall(-1));
    show("after all that", syscall(SYS_getpid) > 0);
    long result;
    register long r8 __asm__("r8") = 0x88, r9 __asm__("r9") = 0x99, r10 __asm__("r10") = 0x10, r12 __asm__("r12") = 0x12;
    unsigned long rdi = 1, rsi = 2, rdx = 3;
    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r8), "+r"(r9), "+r"(r10), "+r"(r12)
                     : "a"(600)
                     : "rcx", "r11", "memory");
    printf("result %ld, registers %lu %lu %lu %#lx %#lx %#lx %#lx\n", result, rdi, rsi, rdx, r8, r9, r10, r12);
    return 0;
}
