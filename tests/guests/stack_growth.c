// The stack grows as it is used: four megabytes of recursion, and large frames at once.
#include "story.h"
#include <alloca.h>
#include <sys/resource.h>

__attribute__((noinline)) static long sum_down(int depth) {
    volatile char frame[1000];
    frame[0] = (char)depth;
    frame[999] = 1;
    if (depth == 0)
        return 0;
    return sum_down(depth - 1) + frame[999];
}

__attribute__((noinline)) static int in_one_step(size_t size) {
    volatile char *block = alloca(size);
    block[0] = 1;
    block[size - 1] = 2;
    return block[0] + block[size - 1];
}

int main(void) {
    show("4000 frames of a kilobyte", sum_down(4000));
    show("again", sum_down(4000));
    show("three megabytes in one step", in_one_step(3 << 20));
    show("six megabytes in one step", in_one_step(6 << 20));
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    check("the limit is at least eight megabytes", limit.rlim_cur >= 8 << 20);
    return 0;
}
