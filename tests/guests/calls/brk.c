// brk: up, down, and where it cannot be.
#include "../story.h"

static char *brk_(void *to) {
    return (char *)syscall(SYS_brk, to);
}

int main(void) {
    char *start = brk_(NULL);
    CHECK(start != NULL && brk_(NULL) == start);
    CHECK(brk_(start + 10000) == start + 10000);
    memset(start, 'x', 10000);
    SHOW(start[9999]);
    CHECK(brk_(start + 5) == start + 5);
    CHECK(brk_(start + 10000) == start + 10000);
    SHOW(start[0]);
    // What was given back comes back empty.
    SHOW(start[9000]);
    CHECK(brk_((void *)1) == start + 10000);
    CHECK(brk_((void *)(uintptr_t)0xffff800000000000) == start + 10000);
    CHECK(brk_((void *)(uintptr_t)-1) == start + 10000);
    // Something in the way stays there.
    char *page = (char *)(((uintptr_t)start + 10000 + 4095) & ~(uintptr_t)4095) + 16 * 4096;
    char *wall = mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    wall[0] = 'w';
    CHECK(brk_(page + 100) == start + 10000);
    SHOW(wall[0]);
    CHECK(brk_(page - 8192) == page - 8192);
    CHECK(brk_(start) == start);
    return 0;
}
