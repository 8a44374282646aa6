// What a program left in the processor's vector registers is not there for the next one.
// link: static
// flags: -nostdlib -ffreestanding -fno-stack-protector -fcf-protection=none -mno-sse -O1
//
// There is no library that would use the registers. A program fills them and replaces itself: all must be as at a start. Then one child
// after the other fills them and ends, and each looks first: what its parent had may be there, a brother's secret may not.

typedef unsigned long word;

enum { PARENTS = 0x11, SECRET = 0x5e };

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

static unsigned xcr0(void) {
    unsigned a, b, c, d;
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "0"(1), "2"(0));
    if (!(c & 1u << 27))
        return 3;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static unsigned char bytes[64] __attribute__((aligned(64)));

static void fill(unsigned char value) {
    for (int i = 0; i < 64; i++)
        bytes[i] = value;
    unsigned features = xcr0();
    if ((features & 0xe0) == 0xe0)
        __asm__ volatile("vmovdqu64 %0, %%zmm0\n vmovdqu64 %0, %%zmm7\n vmovdqu64 %0, %%zmm31\n kmovw %1, %%k3" : : "m"(bytes), "r"(0x5555));
    else if (features & 4)
        __asm__ volatile("vmovdqu %0, %%ymm0\n vmovdqu %0, %%ymm7" : : "m"(bytes));
    else
        __asm__ volatile("movdqu %0, %%xmm0\n movdqu %0, %%xmm7" : : "m"(bytes));
    unsigned control = 0x7f80;
    unsigned short word_of_x87 = 0xc7f;
    __asm__ volatile("ldmxcsr %0\n fldcw %1" : : "m"(control), "m"(word_of_x87));
}

// How many bytes of the registers that fill() fills have this value, or any but zero if it is 0.
static int count(unsigned char value) {
    static unsigned char seen[200] __attribute__((aligned(64)));
    unsigned features = xcr0();
    for (int i = 0; i < 200; i++)
        seen[i] = 0;
    if ((features & 0xe0) == 0xe0)
        __asm__ volatile("vmovdqu64 %%zmm0, (%0)\n vmovdqu64 %%zmm7, 64(%0)\n vmovdqu64 %%zmm31, 128(%0)\n kmovw %%k3, 192(%0)" : : "r"(seen) : "memory");
    else if (features & 4)
        __asm__ volatile("vmovdqu %%ymm0, (%0)\n vmovdqu %%ymm7, 64(%0)" : : "r"(seen) : "memory");
    else
        __asm__ volatile("movdqu %%xmm0, (%0)\n movdqu %%xmm7, 64(%0)" : : "r"(seen) : "memory");
    int found = 0;
    for (int i = 0; i < 194; i++)
        found += value ? seen[i] == value : seen[i] != 0;
    return found;
}

static void replaced(void) {
    unsigned control;
    unsigned short word_of_x87;
    int left = count(0);
    __asm__ volatile("stmxcsr %0\n fnstcw %1" : "=m"(control), "=m"(word_of_x87));
    say(left == 0 ? "after execve the registers are empty\n" : "FAIL after execve something is left\n");
    say(control == 0x1f80 ? "and MXCSR is as at a start\n" : "FAIL MXCSR\n");
    say(word_of_x87 == 0x37f ? "and so is the x87 control word\n" : "FAIL x87\n");
}

static int children(void) {
    int secrets = 0;
    for (int i = 0; i < 20; i++) {
        fill(PARENTS);
        long child = call(57, 0, 0, 0);
        if (child == 0) {
            int found = count(SECRET);
            fill(SECRET);
            call(231, found != 0, 0, 0);
        }
        int status = 0;
        call(61, child, (long)&status, 0);
        secrets += status != 0;
    }
    return secrets;
}

__attribute__((used)) static void story(word *stack) {
    char **arguments = (char **)(stack + 1);
    if (stack[0] == 1) {
        static char second[] = "again";
        char *again[] = {arguments[0], second, 0};
        fill(SECRET);
        call(59, (long)"/proc/self/exe", (long)again, 0);
        say("FAIL execve\n");
        call(231, 1, 0, 0);
    }
    replaced();
    say(children() == 0 ? "no child found a secret\n" : "FAIL a child found a secret\n");
    call(231, 0, 0, 0);
}

__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n call story\n hlt\n");
