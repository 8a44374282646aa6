// The first program of all: it says one line and leaves.
// link: static static-pie dynamic dynamic-fixed
#include <stdio.h>

int main(void) {
    puts("hello from a program");
    return 0;
}
