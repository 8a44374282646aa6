// A program without any library: what the kernel hands to the very first instruction.
// link: static
// flags: -nostdlib -ffreestanding -fno-stack-protector -fcf-protection=none
//
// At entry rsp points at argc and is aligned to 16 bytes; the direction flag is clear; the bss is zero.

static long call(long number, long first, long second, long third) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(first), "S"(second), "d"(third) : "rcx", "r11", "memory");
    return result;
}

static void say(const char *text) {
    long length = 0;
    while (text[length])
        length++;
    call(1, 1, (long)text, length);
}

static char untouched[12345];
static volatile int data = 42;

__attribute__((used)) static void story(unsigned long *stack) {
    unsigned long flags;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    say(((unsigned long)stack & 15) == 0 ? "stack aligned\n" : "FAIL stack alignment\n");
    say((flags & 0x400) == 0 ? "direction flag clear\n" : "FAIL direction flag\n");
    int is_zero = 1;
    for (unsigned i = 0; i < sizeof untouched; i++)
        is_zero &= untouched[i] == 0;
    say(is_zero ? "bss zero\n" : "FAIL bss\n");
    say(data == 42 ? "data initialized\n" : "FAIL data\n");
    long argc = (long)stack[0];
    char **argv = (char **)(stack + 1);
    for (long i = 1; i < argc; i++) {
        say("argument: ");
        say(argv[i]);
        say("\n");
    }
    say(argv[argc] == 0 ? "arguments end with null\n" : "FAIL arguments' end\n");
    call(231, 7, 0, 0);
}

__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n call story\n hlt\n");
