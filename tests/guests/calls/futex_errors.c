// futex, set_robust_list, get_robust_list: words that are not there, times that are none, and operations that do not exist.
#include "../story.h"
#include <linux/futex.h>
#include <sys/time.h>

static uint32_t word = 5, other = 7;

static long futex(void *address, int operation, uint32_t value, void *timeout, void *second, uint32_t third) {
    return syscall(SYS_futex, address, operation, value, timeout, second, third);
}

int main(void) {
    struct timespec some = {0, 5000000}, bad = {0, 1000000000}, negative = {-1, 0}, past = {1, 0};
    SHOW(futex(&word, FUTEX_WAIT, 6, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 5, &some, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_PRIVATE, 5, &some, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 5, &bad, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 5, &negative, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 5, NOWHERE, NULL, 0));
    SHOW(futex((char *)&word + 1, FUTEX_WAIT, 5, &some, NULL, 0));
    SHOW(futex(NOWHERE, FUTEX_WAIT, 5, &some, NULL, 0));
    SHOW(futex((void *)(uintptr_t)0xffff800000000000, FUTEX_WAIT, 5, &some, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_BITSET, 5, &past, NULL, 1));
    SHOW(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &past, NULL, ~0u));
    SHOW(futex(&word, FUTEX_WAIT_BITSET, 5, &past, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 1));
    SHOW(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0));
    SHOW(futex((char *)&word + 2, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex(NOWHERE, FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_REQUEUE, 1, (void *)1, &other, 0));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 5));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 6));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, (char *)&other + 1, 5));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, NOWHERE, 5));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE, -1, (void *)1, &other, 5));
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)));
    SHOW(other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_GE, 9)));
    SHOW(other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_OR, 6, FUTEX_OP_CMP_LT, 9)));
    SHOW(other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ANDN, 2, FUTEX_OP_CMP_NE, 9)));
    SHOW(other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_XOR, 15, FUTEX_OP_CMP_GT, 9)));
    SHOW(other);
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(9, 15, FUTEX_OP_CMP_GT, 9)));
    SHOW(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, NOWHERE, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)));
    SHOW(futex(&word, 77, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_FD, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));

    // Locks with owners.
    uint32_t lock = 0;
    SHOW(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(lock == (uint32_t)gettid());
    SHOW(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(&lock, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW(lock);
    SHOW(futex(&lock, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(&lock, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    lock = 0x3fffffff;
    SHOW(futex(&lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(futex(NOWHERE, FUTEX_LOCK_PI, 0, NULL, NULL, 0));

    struct robust_list_head head = {{&head.list}, 0, NULL}, *found;
    size_t len;
    SHOW(syscall(SYS_set_robust_list, &head, sizeof head));
    SHOW(syscall(SYS_set_robust_list, &head, 10));
    SHOW(syscall(SYS_get_robust_list, 0, &found, &len));
    CHECK(found == &head && len == sizeof head);
    SHOW(syscall(SYS_get_robust_list, gettid(), &found, &len));
    SHOW(syscall(SYS_get_robust_list, 0x3fffffff, &found, &len));
    SHOW(syscall(SYS_get_robust_list, 0, NOWHERE, &len));
    return 0;
}
