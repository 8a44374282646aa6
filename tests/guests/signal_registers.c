// A signal in the middle of arithmetic changes nothing: general registers, red zone, vector and rounding state.
// flags: -lm -mno-avx
#include "story.h"
#include <fenv.h>
#include <math.h>
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t ticks;

static void disturb(int signal) {
    (void)signal;
    ticks++;
    // Everything a handler may do to the vector registers and the rounding mode.
    fesetround(FE_UPWARD);
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm1; movdqa %%xmm0, %%xmm7; movdqa %%xmm0, %%xmm15"
                     ::: "xmm0", "xmm1", "xmm7", "xmm15");
    volatile double x = 0;
    for (int i = 1; i < 50; i++)
        x += sqrt((double)i);
}

struct arithmetic {
    double sum, product;
    uint64_t hash;
};

__attribute__((noinline)) static struct arithmetic arithmetic(void) {
    struct arithmetic result = {0, 1, 1469598103934665603UL};
    for (int i = 1; i <= 1000; i++) {
        result.sum += 1.0 / i;
        result.product *= 1.0 + 1.0 / (i * (double)i);
        result.hash = (result.hash ^ (uint64_t)i) * 1099511628211UL;
    }
    return result;
}

int main(void) {
    struct sigaction action = {.sa_handler = disturb};
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);

    // By a system call, with known values in registers and in the red zone.
    unsigned long rbx = 0x1111, r12 = 0x2222, red = 0;
    unsigned long low = 0, high = 0;
    pid_t self = getpid();
    __asm__ volatile(
        "movq $0x5555, -8(%%rsp)\n"
        "movq $0x7777, %%rax; movq %%rax, %%xmm7\n"
        "movq $0x8888, %%rax; movq %%rax, %%xmm15\n"
        "movq $0x1234, %%rbx; movq $0x5678, %%r12\n"
        "movl $62, %%eax; syscall\n"
        "movq -8(%%rsp), %2\n"
        "movq %%xmm7, %3; movq %%xmm15, %4\n"
        "movq %%rbx, %0; movq %%r12, %1\n"
        : "=&r"(rbx), "=&r"(r12), "=&r"(red), "=&r"(low), "=&r"(high)
        : "D"((long)self), "S"((long)SIGUSR1)
        : "rax", "rbx", "rcx", "r11", "r12", "xmm7", "xmm15", "memory");
    show("handled", ticks);
    printf("rbx %#lx r12 %#lx red zone %#lx xmm7 %#lx xmm15 %#lx\n", rbx, r12, red, low, high);
    show("rounding mode", fegetround() == FE_TONEAREST);

    // By a timer, at any instruction: the same arithmetic must always come out the same.
    struct arithmetic quiet = arithmetic();
    printf("sum %.17g product %.15g hash %#lx\n", quiet.sum, quiet.product, quiet.hash);
    struct itimerval often = {.it_interval = {.tv_usec = 20000}, .it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &often, NULL);
    ticks = 0;
    struct timespec start = now(CLOCK_MONOTONIC);
    int wrong = 0;
    while (ticks < 20 && seconds_between(start, now(CLOCK_MONOTONIC)) < 20) {
        struct arithmetic disturbed = arithmetic();
        wrong += memcmp(&quiet, &disturbed, sizeof quiet) != 0;
    }
    struct itimerval off = {0};
    setitimer(ITIMER_REAL, &off, NULL);
    check("the timer came twenty times", ticks >= 20);
    check("every sum was right", wrong == 0);
    return 0;
}
