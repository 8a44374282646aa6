// sigaltstack: which stack can be one, and when it can be changed.
#include "../story.h"
#include <signal.h>

static char stack[65536];
static long inside_change;
static int inside_flags, is_on_it;

static void on_signal(int signal) {
    (void)signal;
    stack_t now_, other = {.ss_sp = stack, .ss_size = sizeof stack / 2};
    char here;
    is_on_it = &here >= stack && &here < stack + sizeof stack;
    sigaltstack(NULL, &now_);
    inside_flags = now_.ss_flags;
    inside_change = sigaltstack(&other, NULL) == 0 ? 0 : errno;
}

int main(void) {
    stack_t one = {.ss_sp = stack, .ss_size = sizeof stack}, old;
    SHOW(sigaltstack(NULL, &old));
    SHOW(old.ss_flags);
    SHOW(sigaltstack(NULL, NULL));
    SHOW(sigaltstack(&one, &old));
    SHOW(sigaltstack(NULL, &old));
    CHECK(old.ss_sp == stack && old.ss_size == sizeof stack && old.ss_flags == 0);
    one.ss_size = 100;
    SHOW(sigaltstack(&one, NULL));
    one.ss_size = sizeof stack;
    one.ss_flags = 0x100;
    SHOW(sigaltstack(&one, NULL));
    SHOW(sigaltstack(NOWHERE, NULL));
    SHOW(sigaltstack(NULL, NOWHERE));
    one.ss_flags = SS_ONSTACK;
    SHOW(sigaltstack(&one, NULL));
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    printf("%d %d %s\n", is_on_it, inside_flags, inside_change ? strerrorname_np((int)inside_change) : "0");
    one.ss_flags = SS_DISABLE;
    SHOW(sigaltstack(&one, &old));
    raise(SIGUSR1);
    printf("%d %d %s\n", is_on_it, inside_flags, inside_change ? strerrorname_np((int)inside_change) : "0");
    // One that takes itself away while it is in use may be changed there.
    one.ss_flags = (int)(1u << 31);
    SHOW(sigaltstack(&one, NULL));
    raise(SIGUSR1);
    printf("%d %#x %s\n", is_on_it, inside_flags, inside_change ? strerrorname_np((int)inside_change) : "0");
    return 0;
}
