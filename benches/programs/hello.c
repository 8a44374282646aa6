// The smallest ordinary program: one line by printf. Linked statically, so that the time it takes is the
// time to start and end a process (or a partition), not the dynamic linker's.
#include <stdio.h>

int main(void)
{
    puts("hello");
    return 0;
}
