// close, close_range: what is open, what was, and flags.
#include "../story.h"
#include <linux/close_range.h>

static void open_ones(void) {
    printf(" ");
    for (int i = 10; i < 30; i++)
        if (fcntl(i, F_GETFD) >= 0)
            printf(" %d%s", i, fcntl(i, F_GETFD) ? "e" : "");
    puts("");
}

int main(void) {
    for (int i = 10; i < 30; i++)
        dup2(0, i);
    SHOW(close(12));
    SHOW(close(12));
    SHOW(close(-1));
    SHOW(close(INT32_MAX));
    SHOW(close_range(14, 16, 0));
    open_ones();
    SHOW(close_range(14, 16, 0));
    SHOW(close_range(18, 20, CLOSE_RANGE_CLOEXEC));
    open_ones();
    SHOW(close_range(22, 21, 0));
    SHOW(close_range(22, 22, 0x80));
    SHOW(close_range(22, 22, -1));
    SHOW(close_range(22, 23, CLOSE_RANGE_UNSHARE));
    SHOW(close_range(25, ~0u, 0));
    open_ones();
    SHOW(close_range(1000, 2000, 0));
    SHOW(close_range(~0u, ~0u, CLOSE_RANGE_CLOEXEC));
    SHOW(close_range(3, ~0u, CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE));
    open_ones();
    SHOW(close_range(3, ~0u, 0));
    open_ones();
    return 0;
}
