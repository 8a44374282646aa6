// setjmp and longjmp, over many frames and out of a handler, with the signal mask kept or not.
#include "story.h"
#include <setjmp.h>
#include <signal.h>

static jmp_buf place;
static sigjmp_buf signal_place;

__attribute__((noinline)) static void dive(int depth) {
    volatile char frame[64];
    frame[0] = (char)depth;
    if (depth == 100)
        longjmp(place, 5);
    dive(depth + 1);
    frame[1] = frame[0];
}

static void handler(int signal) { siglongjmp(signal_place, signal); }

int main(void) {
    volatile int rounds = 0;
    int value = setjmp(place);
    printf("back with %d after %d rounds\n", value, rounds);
    if (rounds++ < 3)
        dive(0);
    if (rounds == 4 && setjmp(place) == 0)
        longjmp(place, 0);
    signal(SIGUSR1, handler);
    for (volatile int i = 0; i < 3; i++) {
        if (sigsetjmp(signal_place, 1) == 0)
            raise(SIGUSR1);
        sigset_t set;
        sigprocmask(SIG_BLOCK, NULL, &set);
        printf("round %d: blocked %d\n", i, sigismember(&set, SIGUSR1));
    }
    if (sigsetjmp(signal_place, 0) == 0)
        raise(SIGUSR1);
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    printf("without saving: blocked %d\n", sigismember(&set, SIGUSR1));
    return 0;
}
