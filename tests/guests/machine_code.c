// A program that writes machine code and runs it, as every just-in-time compiler does.
#include "story.h"

int main(void) {
    unsigned char *code = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned char constant = 1; constant <= 5; constant++) {
        // lea constant(%rdi,%rdi,1), %eax ; ret
        const unsigned char bytes[] = {0x8d, 0x44, 0x3f, constant, 0xc3};
        memcpy(code + 4090, bytes, sizeof bytes);
        show("make it executable", mprotect(code, 8192, PROT_READ | PROT_EXEC));
        printf("2 * 20 + %d = %d\n", constant, ((int (*)(int))(uintptr_t)(code + 4090))(20));
        show("make it writable", mprotect(code, 8192, PROT_READ | PROT_WRITE));
    }
    unsigned char *all = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const unsigned char answer[] = {0xb8, 42, 0, 0, 0, 0xc3};
    memcpy(all, answer, sizeof answer);
    show("writable and executable at once", ((int (*)(void))(uintptr_t)all)());
    all[1] = 43;
    show("changed in place", ((int (*)(void))(uintptr_t)all)());
    return 0;
}
