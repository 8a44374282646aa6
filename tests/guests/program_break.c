// The program break: memory that grows and shrinks at the end of the program's data.
#include "story.h"

int main(void) {
    char *start = sbrk(0);
    char *old = sbrk(40000);
    check("growing gives the old end", old == start);
    int bits = 0;
    for (int i = 0; i < 40000; i++)
        bits |= start[i];
    show("fresh memory is zero", bits);
    memset(start, 'x', 40000);
    char *again = sbrk(100000);
    check("growing again continues", again == start + 40000);
    start[139999] = 'y';
    printf("holds %c %c\n", start[39999], start[139999]);
    sbrk(-130000);
    check("shrinking", sbrk(0) == (void *)(start + 10000));
    printf("the rest stays %c\n", start[9999]);
    sbrk(130000);
    show("shrunk and grown it is zero again", start[100000]);
    show("below the start", (long)brk((char *)4096));
    check("which changed nothing", sbrk(0) == (void *)(start + 140000));
    show("a terabyte", (long)(intptr_t)sbrk((intptr_t)1 << 46));
    check("the kernel returns the break when it refuses", syscall(SYS_brk, 0) == (long)(start + 140000));
    return 0;
}
