// An alternate stack: a handler that runs where the stack has not overflowed.
#include "story.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>

static char *place;
static const size_t size = 65536;
static sigjmp_buf back;
static volatile int is_on_it;

static void handler(int signal) {
    char here;
    (void)signal;
    is_on_it = &here >= place && &here < place + size;
    stack_t state;
    sigaltstack(NULL, &state);
    printf("in the handler the stack is %s\n", state.ss_flags & SS_ONSTACK ? "in use" : "not in use");
    show("changing it now", sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
}

static void overflowed(int signal) {
    char here;
    is_on_it = &here >= place && &here < place + size;
    siglongjmp(back, signal);
}

__attribute__((noinline)) static int deeper(volatile char *above) {
    volatile char frame[8192];
    frame[0] = above ? above[0] : 1;
    return deeper(frame) + frame[0];
}

int main(void) {
    place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = place, .ss_size = size}, old;
    show("sigaltstack", sigaltstack(&stack, &old));
    show("it was disabled", old.ss_flags == SS_DISABLE);
    show("too small", sigaltstack(&(stack_t){.ss_sp = place, .ss_size = 100}, NULL));

    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    show("the handler ran on it", is_on_it);
    action.sa_flags = 0;
    sigaction(SIGUSR1, &action, NULL);
    is_on_it = 1;
    struct sigaction elsewhere = {.sa_handler = handler};
    sigaction(SIGUSR2, &elsewhere, NULL);
    raise(SIGUSR2);
    show("without SA_ONSTACK it does not", is_on_it);
    sigaltstack(&stack, NULL);

    struct sigaction fault = {.sa_handler = overflowed, .sa_flags = SA_ONSTACK};
    sigaction(SIGSEGV, &fault, NULL);
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_STACK, &limit);
    for (int i = 0; i < 3; i++) {
        int signal = sigsetjmp(back, 1);
        if (signal == 0)
            deeper(NULL);
        printf("overflow %d: %s, handled on the alternate stack: %d\n", i, sigabbrev_np(signal), is_on_it);
    }
    return 0;
}
