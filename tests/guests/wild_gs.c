// A base of GS that a program sets by itself (WRGSBASE, or a selector), without telling the kernel: system calls from places where many were
// made, and from new ones, work as before, in threads and children, and nobody writes where it leads.
#include "story.h"
#include <asm/prctl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

enum { OFTEN = 100 };

// clang-format off
#define PLACES(name)                                                                                              \
    extern long name##_getpid(void), name##_any(long number, long a, long b, long c);                             \
    __asm__(".text\n.balign 64\n" #name "_getpid: nop\n mov $39, %eax\n syscall\n ret\n"                          \
            ".balign 64\n" #name "_any: mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n"      \
            " syscall\n cmp $-4096, %rax\n ja 1f\n ret\n1: neg %rax\n add $1000000, %rax\n ret\n")
// clang-format on
PLACES(known);
PLACES(fresh);
PLACES(threads);

static unsigned long words[0x3000];
static sigjmp_buf back;

static void on_illegal(int number) {
    (void)number;
    siglongjmp(back, 1);
}

static void set_gs(unsigned long base) {
    __asm__ volatile("wrgsbase %0" ::"r"(base) : "memory");
}

static unsigned long get_gs(void) {
    unsigned long base;
    __asm__ volatile("rdgsbase %0" : "=r"(base));
    return base;
}

// Flags of comparisons and the carry are as before, from a place of which the kernel knows.
static int flags_are_kept(void) {
    const unsigned long all[] = {0x202, 0xad7, 0xa02, 0x203, 0x282, 0x242, 0x602};
    int kept = 1;
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        unsigned long after;
        __asm__ volatile("sub $256, %%rsp\n push %1\n popfq\n call known_getpid\n pushfq\n pop %0\n cld\n add $256, %%rsp"
                         : "=&r"(after)
                         : "r"(all[i])
                         : "rax", "rcx", "r11", "rdi", "rsi", "rdx", "memory", "cc");
        kept &= ((after ^ all[i]) & 0xcd5) == 0;
    }
    return kept;
}

static int calls_work(long pid) {
    int right = 1;
    for (int i = 0; i < OFTEN; i++) {
        right &= known_getpid() == pid && known_any(SYS_getpid, 0, 0, 0) == pid && known_any(SYS_close, -1, 0, 0) == 1000000 + EBADF;
        right &= fresh_getpid() == pid && fresh_any(5000000000, 0, 0, 0) == 1000000 + ENOSYS;
    }
    return right;
}

static int words_are_untouched(void) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i] != 0x5a5a5a5a5a5a5a5a)
            return 0;
    return 1;
}

static void with_base(const char *what, unsigned long base) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        long pid = getpid();
        set_gs(base);
        int right = calls_work(pid), flags = flags_are_kept();
        unsigned long told = 1;
        right &= known_any(SYS_arch_prctl, ARCH_GET_GS, (long)&told, 0) == 0;
        _exit(right | flags << 1 | (get_gs() == base) << 2 | (told == base) << 3 | words_are_untouched() << 4);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("%s: %#x\n", what, (unsigned)status);
}

static void by_selector(void) {
    long pid = getpid();
    __asm__ volatile("mov %0, %%gs" ::"r"(0));
    check("calls after a selector was loaded", calls_work(pid));
}

static void *thread(void *argument) {
    long pid = getpid();
    int right = 1;
    for (int i = 0; i < OFTEN; i++)
        right &= threads_getpid() == pid;
    set_gs((unsigned long)argument);
    for (int i = 0; i < OFTEN; i++)
        right &= threads_getpid() == pid && threads_any(SYS_close, -1, 0, 0) == 1000000 + EBADF;
    return (void *)(long)(right && get_gs() == (unsigned long)argument);
}

static void crowd(void) {
    pthread_t all[6];
    int right = 1;
    for (int i = 0; i < 6; i++)
        pthread_create(&all[i], NULL, thread, i % 2 ? (void *)&words[i * 8] : (void *)0xffff900000000000);
    for (int i = 0; i < 6; i++) {
        void *result;
        pthread_join(all[i], &result);
        right &= result != NULL;
    }
    check("threads that have one each", right && words_are_untouched());
}

static void grandchildren(void) {
    set_gs((unsigned long)words);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(get_gs() == (unsigned long)words && calls_work(getpid()) ? 7 : 8);
    int status = 0;
    waitpid(child, &status, 0);
    printf("a child has it too: %#x\n", (unsigned)status);
}

int main(void) {
    memset(words, 0x5a, sizeof words);
    signal(SIGILL, on_illegal);
    if (sigsetjmp(back, 1) != 0) {
        puts("the processor has no WRGSBASE, or it is switched off");
        return 0;
    }
    unsigned long own = get_gs();
    check("no base", own == 0 || own >> 63 != 0);
    for (int i = 0; i < OFTEN; i++)
        known_getpid(), known_any(SYS_getpid, 0, 0, 0);
    with_base("words", (unsigned long)words);
    with_base("nothing", 0);
    with_base("one", 1);
    with_base("no memory", 0x7fffffffffff);
    with_base("the last byte", ~0ul);
    with_base("the upper half", 0xffff800000000000);
    with_base("odd, in the upper half", 0xffffa1234567890b);
    in_a_child(by_selector);
    in_a_child(crowd);
    grandchildren();
    return 0;
}
