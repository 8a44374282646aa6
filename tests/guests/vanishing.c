// A file becomes shorter while it is mapped: what is left is there, what is gone is SIGBUS, by load, store, and system call;
// and when it grows again, so does the mapping. With an argument somebody else does it, when told so by a line on standard output.
#include "story.h"
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/syscall.h>

#define LENGTH (24L << 20)

static sigjmp_buf back;
static void *volatile place;

static void out_of_file(int signal, siginfo_t *info, void *context) {
    (void)context;
    place = info->si_addr;
    siglongjmp(back, signal);
}

// What a look at a byte gives: the byte, or the signal's name.
static void look(const char *what, volatile unsigned char *byte, int is_store) {
    int signal = sigsetjmp(back, 1);
    if (signal != 0) {
        printf("%s: %s%s\n", what, signal == SIGBUS ? "SIGBUS" : "SIGSEGV",
               ((uintptr_t)place & ~4095ul) == ((uintptr_t)byte & ~4095ul) ? " there" : " elsewhere");
        return;
    }
    if (is_store)
        *byte = 'S';
    printf("%s: %c\n", what, *byte);
}

static void set_length(const char *argument, long length) {
    if (argument == NULL) {
        truncate("vanishing.data", length);
        return;
    }
    static int asked;
    printf("%d: length %ld, please\n", ++asked, length);
    fflush(stdout);
    char line[16];
    (void)!read(0, line, sizeof line);
}

// System calls that look at a word, or change it, in a page that is gone.
static void futexes(unsigned char *gone) {
    unsigned here = 0;
    unsigned operation = FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0);
    errno = 0;
    show("gone, changed by FUTEX_WAKE_OP", syscall(SYS_futex, &here, FUTEX_WAKE_OP, 1, 1L, gone, operation));
    errno = 0;
    show("gone, FUTEX_LOCK_PI", syscall(SYS_futex, gone + 4096, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    errno = 0;
    show("gone, FUTEX_WAIT", syscall(SYS_futex, gone + 8192, FUTEX_WAIT, 0x61616161, NULL, NULL, 0));
}

static void tour(const char *argument, int flags) {
    int is_shared = flags == MAP_SHARED;
    int file = open("vanishing.data", O_RDWR);
    unsigned char *pages = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, flags, file, 0);
    look("before, near the end", pages + LENGTH - 5000, 0);
    look("before, in the middle", pages + LENGTH / 2, 0);
    if (is_shared)
        for (int i = 0; i < 4; i++)
            look("before, stored to", pages + LENGTH - (8 + i) * 4096, 1);
    set_length(argument, LENGTH / 2 - 8192 + 10);
    // Nothing has touched what is gone yet.
    int is_first = argument != NULL && strcmp(argument, "asking") != 0;
    if (is_shared && is_first)
        futexes(pages + LENGTH - 11 * 4096);
    look("what is left", pages + LENGTH / 2 - 3 * 4096 - 1, 0);
    look("gone, in the middle", pages + LENGTH / 2, 0);
    look("gone, near the end", pages + LENGTH - 5000, 0);
    if (is_shared)
        look("gone, stored to", pages + LENGTH - 9000, 1);
    if (is_shared && !is_first)
        futexes(pages + LENGTH - 11 * 4096);
    errno = 0;
    int other = open("other", O_RDWR | O_CREAT | O_TRUNC, 0644);
    show("gone, written from", write(other, pages + LENGTH - 5000, 10));
    errno = 0;
    show("partly gone, written from", write(other, pages + LENGTH / 2 - 2 * 4096 + 4096 - 4, 8));
    close(other);
    unlink("other");
    set_length(argument, LENGTH);
    look("there again", pages + LENGTH - 5000 + 4096, is_shared);
    munmap(pages, LENGTH);
    close(file);
}

int main(int count, char **words) {
    const char *argument = count > 1 ? words[1] : NULL;
    if (argument == NULL)
        enter_story_directory();
    struct sigaction action = {.sa_sigaction = out_of_file, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    int file = open("vanishing.data", O_RDWR | O_CREAT | O_TRUNC, 0644);
    static char megabyte[1 << 20];
    memset(megabyte, 'a', sizeof megabyte);
    for (int flags = 0; flags < 2; flags++) {
        for (long at = 0; at < LENGTH; at += sizeof megabyte)
            (void)!pwrite(file, megabyte, sizeof megabyte, at);
        puts(flags == 0 ? "private" : "shared");
        tour(argument, flags == 0 ? MAP_PRIVATE : MAP_SHARED);
    }
    unlink("vanishing.data");
    return 0;
}
