// membarrier, rseq: what there may be, and what is never right.
#include "../story.h"
#include <linux/membarrier.h>

int main(void) {
    long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    check("a set, or none", known >= 0 || errno == ENOSYS);
    if (known >= 0) {
        SHOW(syscall(SYS_membarrier, 1 << 20, 0, 0));
        SHOW(syscall(SYS_membarrier, -1, 0, 0));
        // What is said to be there works.
        if (known & MEMBARRIER_CMD_GLOBAL && syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
            puts("FAIL for all");
        if (known & MEMBARRIER_CMD_PRIVATE_EXPEDITED &&
            (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0 ||
             syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0))
            puts("FAIL for the process");
    }
    // The C library may have registered its own area before; another one, or a bad one, is refused.
    static char area[32] __attribute__((aligned(32)));
    long result = syscall(SYS_rseq, area + 1, sizeof area, 0, 0);
    check("an address that is not aligned", result == -1 && (errno == EINVAL || errno == ENOSYS || errno == EBUSY));
    result = syscall(SYS_rseq, area, sizeof area, 0x100, 0);
    check("an unknown flag", result == -1 && (errno == EINVAL || errno == ENOSYS || errno == EBUSY));
    return 0;
}
