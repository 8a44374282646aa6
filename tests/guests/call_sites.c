// System calls made again and again from one place, which a kernel may take another way than the first ones: registers, flags and
// the stack below stay as they were; code that jumps into the middle, reads itself, moves or steps finds what it was written as.
#include "story.h"
#include <asm/prctl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

enum { OFTEN = 100 };

// Places of the two kinds that compilers make: a number moved right before, a comparison right after.
// clang-format off
#define PLACES(name)                                                                                           \
    extern long name##_getpid(void), name##_any(long number, long a, long b, long c), name##_any32(long number, long a, long b, long c); \
    extern char name##_getpid_call[], name##_any_compare[], name##_any32_compare[];                            \
    __asm__(".text\n.balign 64\n" #name "_getpid: nop\n mov $39, %eax\n" #name "_getpid_call: syscall\n ret\n"  \
            ".balign 64\n" #name "_any: mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n"    \
            " syscall\n" #name "_any_compare: cmp $-4096, %rax\n ja 1f\n ret\n1: neg %rax\n add $1000000, %rax\n ret\n" \
            ".balign 64\n" #name "_any32: mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n"  \
            " syscall\n" #name "_any32_compare: cmp $-4096, %eax\n ja 1f\n ret\n1: neg %rax\n add $1000000, %rax\n ret\n")
// clang-format on
PLACES(first);
PLACES(second);
PLACES(third);
PLACES(fourth);
PLACES(shared);

static void results(void) {
    long pid = getpid();
    int right = 1;
    for (int i = 0; i < OFTEN; i++) right &= first_getpid() == pid;
    check("a number before", right);
    for (int i = 0; i < OFTEN; i++) {
        right &= first_any(SYS_getpid, 0, 0, 0) == pid && first_any(SYS_close, -1, 0, 0) == 1000000 + EBADF;
        right &= first_any32(SYS_getpid, 0, 0, 0) == pid && first_any32(SYS_close, -1, 0, 0) == 1000000 + EBADF;
    }
    check("a comparison after", right);
    right = 1;
    for (int i = 0; i < OFTEN; i++) right &= first_any(-1, 0, 0, 0) == 1000000 + ENOSYS && first_any(5000000000, 0, 0, 0) == 1000000 + ENOSYS;
    check("numbers that are none", right);
}

static long enter_at(void *place, long rax) {
    long result;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(place), "0"(rax) : "rcx", "r11", "rdi", "rsi", "rdx", "memory", "cc");
    return result;
}

static void middles(void) {
    int right = 1;
    for (int i = 0; i < 3; i++) {
        right &= enter_at(first_getpid_call, SYS_getppid) == getppid();
        right &= enter_at(first_any_compare, 7) == 7 && enter_at(first_any_compare, -5) == 1000005;
        right &= enter_at(first_any32_compare, 7) == 7 && enter_at(first_any32_compare, -5) == 1000005;
    }
    check("entered in the middle", right);
}

// Everything but RAX, RCX and R11 is as before, and so are the flags and what lies below the stack pointer.
static int is_kept(void *place, unsigned long flags) {
    unsigned long before[14], after[14], flags_after, red;
    for (int i = 0; i < 14; i++) before[i] = 0x1111111111111111ul * (unsigned long)(i + 1);
    before[0] = flags;
    __asm__ volatile("mov %[before], %%r10\n mov %[place], %%rax\n"
                     "push %%rbp\n push %%rbx\n push %%r12\n push %%r13\n push %%r14\n push %%r15\n push %[after]\n push %%rax\n"
                     "pushq (%%r10)\n"
                     "mov 8(%%r10), %%rbx\n mov 16(%%r10), %%rbp\n mov 24(%%r10), %%r12\n mov 32(%%r10), %%r13\n mov 40(%%r10), %%r14\n"
                     "mov 48(%%r10), %%r15\n mov 56(%%r10), %%rdi\n mov 64(%%r10), %%rsi\n mov 72(%%r10), %%rdx\n mov 80(%%r10), %%r8\n"
                     "mov 88(%%r10), %%r9\n mov 96(%%r10), %%r10\n"
                     "popfq\n"
                     "movq $0x5a5a5a5a, -24(%%rsp)\n"
                     "call *(%%rsp)\n"
                     "pushfq\n popq %%rcx\n cld\n mov -24(%%rsp), %%rax\n"
                     "lea 8(%%rsp), %%rsp\n pop %%r11\n"
                     "mov %%rbx, 8(%%r11)\n mov %%rbp, 16(%%r11)\n mov %%r12, 24(%%r11)\n mov %%r13, 32(%%r11)\n mov %%r14, 40(%%r11)\n"
                     "mov %%r15, 48(%%r11)\n mov %%rdi, 56(%%r11)\n mov %%rsi, 64(%%r11)\n mov %%rdx, 72(%%r11)\n mov %%r8, 80(%%r11)\n"
                     "mov %%r9, 88(%%r11)\n mov %%r10, 96(%%r11)\n"
                     "pop %%r15\n pop %%r14\n pop %%r13\n pop %%r12\n pop %%rbx\n pop %%rbp\n"
                     "pushq $0x202\n popfq\n"
                     : "=&a"(red), "=&c"(flags_after)
                     : [before] "r"(before), [after] "r"(after), [place] "r"(place)
                     : "rdi", "rsi", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
    (void)red;
    return memcmp(before + 1, after + 1, 12 * sizeof *before) == 0 && ((flags_after ^ flags) & 0xcd5) == 0;
}

static long red_zone(long count) {
    long kept = 1;
    for (long i = 0; i < count; i++) {
        long value;
        __asm__ volatile("movq $0x5a5a, -8(%%rsp)\n movq $0xa5a5, -128(%%rsp)\n mov $39, %%eax\n syscall\n"
                         "mov -8(%%rsp), %0\n shl $16, %0\n add -128(%%rsp), %0\n"
                         : "=&a"(value)
                         :
                         : "rcx", "r11", "memory", "cc");
        kept &= value == 0x5a5aa5a5;
    }
    return kept;
}

static void surroundings(void) {
    const unsigned long flags[] = {0x202, 0xad7, 0x602, 0x40202, 0x200202};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        int kept = 1;
        for (int turn = 0; turn < OFTEN; turn++) kept &= is_kept(second_getpid, flags[i]);
        printf("flags %#lx: ", flags[i]);
        check("everything is kept", kept);
    }
    check("below the stack pointer", (int)red_zone(OFTEN));
}

static volatile sig_atomic_t alarms;
static void on_alarm(int number) {
    (void)number;
    alarms++;
    // The handler makes calls from the same place.
    first_any(SYS_getpid, 0, 0, 0);
    second_getpid();
}

static void *write_slowly(void *end) {
    for (int i = 0; i < 12; i++) {
        usleep(40000);
        if (write((int)(long)end, "x", 1) != 1) break;
    }
    close((int)(long)end);
    return NULL;
}

// Reads byte for byte from a pipe, interrupted all the time.
static void interrupted(int flags) {
    int ends[2], bytes = 0, interruptions = 0;
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
    struct itimerval often = {{0, 15000}, {0, 15000}}, never = {{0, 0}, {0, 0}};
    pthread_t writer;
    char byte;
    check("pipe", pipe(ends) == 0);
    sigaction(SIGALRM, &action, NULL);
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
    pthread_create(&writer, NULL, write_slowly, (void *)(long)ends[1]);
    pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (;;) {
        long got = first_any(SYS_read, ends[0], (long)&byte, 1);
        if (got == 1000000 + EINTR) interruptions++;
        else if (got == 1) bytes++;
        else break;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    pthread_join(writer, NULL);
    close(ends[0]);
    printf("%d bytes; interrupted: %s\n", bytes, interruptions > 0 ? "yes" : "no");
    check("alarms", alarms > 0);
}

static void own_code(void) {
    const unsigned char written[] = {0x90, 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3};
    char *page = (char *)((uintptr_t)third_getpid & ~4095ul);
    long pid = getpid();
    int right = 1;
    for (int i = 0; i < OFTEN; i++) right &= third_getpid() == pid && third_any(SYS_getpid, 0, 0, 0) == pid;
    show("code may be written", mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC));
    check("it is as it was written", memcmp((void *)third_getpid, written, sizeof written) == 0);
    ((unsigned char *)third_getpid)[2] = 110;
    for (int i = 0; i < OFTEN; i++) right &= third_getpid() == getppid();
    ((unsigned char *)third_getpid)[2] = 39;
    show("and not any more", mprotect(page, 8192, PROT_READ | PROT_EXEC));
    for (int i = 0; i < OFTEN; i++) right &= third_getpid() == pid && third_any(SYS_getpid, 0, 0, 0) == pid;
    check("calls meanwhile", right);
    show("contents given up", madvise(page, 8192, MADV_DONTNEED));
    for (int i = 0; i < OFTEN; i++) right &= third_getpid() == pid && third_any(SYS_getpid, 0, 0, 0) == pid;
    check("calls afterwards", right);
}

// This program's own file, mapped elsewhere, moved, and gone.
static void moved_code(void) {
    long pid = getpid();
    int right = 1, file = open("/proc/self/exe", O_RDONLY);
    long page = (long)third_getpid & ~4095l, start = 0;
    unsigned char wanted[16], found[16];
    memcpy(wanted, (void *)third_any, sizeof wanted);
    // Where in the file is it?
    for (long at = (long)third_any & 4095; start == 0 && pread(file, found, sizeof found, at) == sizeof found; at += 4096)
        if (memcmp(wanted, found, sizeof wanted) == 0 && at > 4095) start = at - ((long)third_any - page);
    for (int turn = 0; turn < 3; turn++) {
        char *code = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, start);
        long (*call)(long, long, long, long) = (void *)(code + ((long)third_any - page));
        for (int i = 0; i < OFTEN; i++) right &= call(SYS_getpid, 0, 0, 0) == pid;
        char *elsewhere = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *moved = mremap(code, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
        check("moved", moved == elsewhere);
        call = (void *)(moved + ((long)third_any - page));
        for (int i = 0; i < OFTEN; i++) right &= call(SYS_getpid, 0, 0, 0) == pid && call(SYS_close, -1, 0, 0) == 1000000 + EBADF;
        munmap(moved, 8192);
    }
    close(file);
    check("code that moves", right);
}

static volatile sig_atomic_t steps;
static void on_step(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    steps++;
}

static void stepped(void) {
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    long pid = getpid();
    int right = 1;
    for (int i = 0; i < 3; i++) {
        long result;
        __asm__ volatile("pushfq\n orl $0x100, (%%rsp)\n popfq\n call fourth_getpid\n pushfq\n andl $~0x100, (%%rsp)\n popfq\n"
                         : "=a"(result)::"rcx", "r11", "memory", "cc");
        right &= result == pid;
    }
    check("step by step", right && steps >= 3 * 4);
}

static volatile int go;
static void *crowd(void *unused) {
    (void)unused;
    long pid = getpid();
    int right = 1;
    while (!go) sched_yield();
    for (int i = 0; i < 400; i++) {
        right &= shared_getpid() == pid;
        right &= shared_any(SYS_close, -1, 0, 0) == 1000000 + EBADF && shared_any32(SYS_getpid, 0, 0, 0) == pid;
    }
    return (void *)(long)right;
}

static void threads(void) {
    pthread_t all[6];
    int right = 1;
    for (int i = 0; i < 6; i++) pthread_create(&all[i], NULL, crowd, NULL);
    go = 1;
    for (int i = 0; i < 6; i++) {
        void *result;
        pthread_join(all[i], &result);
        right &= result != NULL;
    }
    check("threads that meet the change", right);
}

static void children(void) {
    int right = 1, status;
    for (int i = 0; i < 5; i++) {
        long child = fork();
        if (child == 0) {
            int good = 1;
            long pid = first_any(SYS_getpid, 0, 0, 0);
            for (int turn = 0; turn < OFTEN; turn++) good &= first_getpid() == pid && second_getpid() == pid && pid != getppid();
            _exit(good ? 7 : 8);
        }
        right &= waitpid((pid_t)child, &status, 0) == child && WEXITSTATUS(status) == 7;
    }
    // The very call that makes a child is one of them.
    for (int i = 0; i < OFTEN; i++) {
        long child = second_any(SYS_fork, 0, 0, 0);
        if (child == 0) _exit(9);
        right &= waitpid((pid_t)child, &status, 0) == child && WEXITSTATUS(status) == 9;
    }
    check("children", right);
}

static void own_gs(void) {
    static unsigned long words[16] = {0x123456789abcdef};
    long pid = getpid();
    int right = 1;
    unsigned long base = 1, word;
    syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
    check("no base of GS", base == 0);
    syscall(SYS_arch_prctl, ARCH_SET_GS, words);
    for (int i = 0; i < OFTEN; i++) {
        __asm__ volatile("mov %%gs:0, %0" : "=r"(word));
        right &= word == 0x123456789abcdef && first_getpid() == pid && first_any(SYS_getpid, 0, 0, 0) == pid;
    }
    syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
    check("a base of GS", right && base == (unsigned long)words);
    for (int i = 1; i < 16; i++) right &= words[i] == 0;
    check("nobody writes there", right);
    syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
    for (int i = 0; i < OFTEN; i++) right &= first_getpid() == pid;
    check("and none again", right);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    results();
    middles();
    surroundings();
    interrupted(SA_RESTART);
    interrupted(0);
    children();
    threads();
    own_code();
    moved_code();
    stepped();
    own_gs();
    return 0;
}
