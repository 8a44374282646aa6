// A handler changes the registers that the program goes on with: it skips the instruction that failed.
#include "story.h"
#include <signal.h>
#include <ucontext.h>

static volatile int skipped;

static void skip(int signal, siginfo_t *info, void *given) {
    (void)info;
    ucontext_t *context = given;
    greg_t *registers = context->uc_mcontext.gregs;
    skipped++;
    if (signal == SIGILL) {
        registers[REG_RIP] += 2;
        registers[REG_RBX] = 0xabcd;
    } else {
        registers[REG_RIP] += 3;
        registers[REG_RAX] = 777;
    }
}

static void trap(int signal, siginfo_t *info, void *given) {
    (void)signal, (void)info;
    ucontext_t *context = given;
    // The instruction after int3; nothing to skip.
    skipped += ((unsigned char *)context->uc_mcontext.gregs[REG_RIP])[-1] == 0xcc;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    unsigned long rbx, rax;
    __asm__ volatile("xor %%ebx, %%ebx; ud2; mov %%rbx, %0" : "=r"(rbx) : : "rbx");
    printf("after the illegal instruction rbx is %#lx\n", rbx);
    // mov (%rcx), %rax is three bytes long.
    __asm__ volatile("xor %%ecx, %%ecx; .byte 0x48, 0x8b, 0x01; mov %%rax, %0" : "=r"(rax) : : "rax", "rcx");
    printf("after the bad read rax is %lu\n", rax);
    action.sa_sigaction = trap;
    sigaction(SIGTRAP, &action, NULL);
    __asm__ volatile("int3");
    show("handlers ran", skipped);
    return 0;
}
