// prctl, arch_prctl: names, signals of the parent's death, and options that do not exist.
#include "../story.h"
#include <asm/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

static void *other_thread(void *argument) {
    char name[16] = {0};
    prctl(PR_GET_NAME, name);
    printf("inherited %s\n", name);
    prctl(PR_SET_NAME, "other");
    return argument;
}

static void child(void) {
    int value = -1;
    char name[16] = {0};
    prctl(PR_GET_NAME, name);
    puts(name);
    prctl(PR_GET_PDEATHSIG, &value);
    printf("death signal %d\n", value);
    prctl(PR_GET_CHILD_SUBREAPER, &value);
    printf("subreaper %d\n", value);
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
}

int main(void) {
    char name[16];
    int value = -1;
    SHOW(prctl(PR_SET_NAME, "0123456789abcdefgh"));
    SHOW(prctl(PR_GET_NAME, name));
    puts(name);
    SHOW(prctl(PR_SET_NAME, ""));
    SHOW(prctl(PR_GET_NAME, name));
    SHOW(name[0]);
    SHOW(prctl(PR_SET_NAME, NOWHERE));
    SHOW(prctl(PR_GET_NAME, NOWHERE));
    char *end = before_the_end(3);
    memcpy(end, "abc", 3);
    SHOW(prctl(PR_SET_NAME, end));
    memcpy(end, "ab", 3);
    SHOW(prctl(PR_SET_NAME, end));
    prctl(PR_SET_NAME, "story");
    pthread_t thread;
    pthread_create(&thread, NULL, other_thread, NULL);
    pthread_join(thread, NULL);
    prctl(PR_GET_NAME, name);
    puts(name);
    SHOW(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    SHOW(prctl(PR_GET_PDEATHSIG, &value));
    SHOW(value);
    SHOW(prctl(PR_SET_PDEATHSIG, 65));
    SHOW(prctl(PR_SET_PDEATHSIG, -1));
    SHOW(prctl(PR_GET_PDEATHSIG, NOWHERE));
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 5));
    SHOW(prctl(PR_GET_CHILD_SUBREAPER, &value));
    SHOW(value);
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_SET_DUMPABLE, 2));
    SHOW(prctl(PR_SET_DUMPABLE, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_DUMPABLE, 1));
    SHOW(prctl(PR_SET_KEEPCAPS, 2));
    SHOW(prctl(PR_SET_KEEPCAPS, 1));
    SHOW(prctl(PR_GET_KEEPCAPS));
    SHOW(prctl(PR_SET_KEEPCAPS, 0));
    SHOW(prctl(PR_SET_TIMERSLACK, 12345));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_SET_TIMERSLACK, 0));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(-1));
    SHOW(prctl(9999, 1, 2, 3, 4));
    in_a_child(child);

    unsigned long base = 0;
    SHOW(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
    CHECK(base == (unsigned long)pthread_self());
    SHOW(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1234));
    SHOW(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
    SHOW(base);
    SHOW(syscall(SYS_arch_prctl, ARCH_SET_GS, 0xffff800000000000));
    SHOW(syscall(SYS_arch_prctl, ARCH_GET_FS, NOWHERE));
    SHOW(syscall(SYS_arch_prctl, 0x9999, &base));
    return 0;
}
