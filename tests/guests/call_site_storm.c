// Threads, handlers and children that make system calls from 512 places, while another thread has the code written, taken away and
// brought back under them.
#include "story.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

enum { PLACES = 256, APART = 128, WORKERS = 3, SECONDS = 2 };

// clang-format off
__asm__(".text\n.balign 4096\ncode:\n.rept 256\n"
        ".balign 128\n mov $39, %eax\n syscall\n ret\n"
        ".balign 32\n mov %rdi, %rax\n mov %rsi, %rdi\n mov %rdx, %rsi\n mov %rcx, %rdx\n"
        " syscall\n cmp $-4096, %rax\n ja 1f\n ret\n1: neg %rax\n add $1000000, %rax\n ret\n"
        ".endr\n.balign 4096\ncode_end:\n");
// clang-format on
extern char code[], code_end[];

static volatile int is_over;
static volatile long wrong, alarms;
static long pid;

static long number_at(unsigned place) {
    return ((long (*)(void))(uintptr_t)(code + APART * (place % PLACES)))();
}

static long any_at(unsigned place, long number, long a, long b) {
    return ((long (*)(long, long, long, long))(uintptr_t)(code + APART * (place % PLACES) + 32))(number, a, b, 0);
}

static void on_alarm(int number) {
    (void)number;
    alarms++;
    if (number_at((unsigned)alarms * 31) != getpid())
        wrong++;
}

static void *work(void *argument) {
    unsigned random = (unsigned)(long)argument;
    while (!is_over) {
        random = random * 1103515245 + 12345;
        unsigned place = random >> 16;
        wrong += number_at(place) != pid;
        wrong += any_at(place * 7, SYS_close, -1, 0) != 1000000 + EBADF;
        wrong += any_at(place * 13, SYS_getpid, 0, 0) != pid;
        if (random >> 28 == 0) {
            struct timespec pause = {0, 300000};
            long slept = any_at(place, SYS_nanosleep, (long)&pause, 0);
            wrong += slept != 0 && slept != 1000000 + EINTR;
        }
    }
    return NULL;
}

static void *change(void *unused) {
    (void)unused;
    unsigned random = 77, pages = (unsigned)((code_end - code) / 4096);
    while (!is_over) {
        random = random * 1103515245 + 12345;
        char *page = code + 4096 * ((random >> 16) % pages);
        switch ((random >> 8) % 3) {
        case 0:
            wrong += mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0;
            *(volatile char *)(page + 100) = *(volatile char *)(page + 100);
            wrong += mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0;
            break;
        case 1: wrong += madvise(page, 4096, MADV_DONTNEED) != 0; break;
        default: usleep(2000);
        }
    }
    return NULL;
}

static int child(void) {
    long own = getpid();
    int right = 1;
    for (unsigned place = 0; place < PLACES; place++)
        right &= number_at(place) == own && any_at(place, SYS_getpid, 0, 0) == own;
    return right ? 0 : 1;
}

int main(void) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
    pthread_t workers[WORKERS], changer;
    pid = getpid();
    sigaction(SIGALRM, &action, NULL);
    for (long i = 0; i < WORKERS; i++)
        pthread_create(&workers[i], NULL, work, (void *)(i * 7919 + 1));
    pthread_create(&changer, NULL, change, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    int status, children = 0;
    for (time_t end = time(NULL) + SECONDS; time(NULL) < end; children++) {
        pid_t made = fork();
        if (made == 0)
            _exit(child());
        while (waitpid(made, &status, 0) == -1 && errno == EINTR)
            continue;
        wrong += status != 0;
    }
    is_over = 1;
    setitimer(ITIMER_REAL, &never, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    pthread_join(changer, NULL);
    check("every call was made right", wrong == 0);
    check("there were alarms and children", alarms > 0 && children > 0);
    return 0;
}
