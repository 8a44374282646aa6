// fork, vfork, clone, clone3: flags that exclude or need each other, and what child and parent are told.
#include "../story.h"
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>

static long raw(unsigned long flags, void *parent_tid, void *child_tid) {
    fflush(stdout);
    // The child may be on the same stack, so it touches none of it.
    register void *r10 __asm__("r10") = child_tid;
    register unsigned long r8 __asm__("r8") = 0;
    long result;
    __asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\tmov $231, %%eax\n\tmov $7, %%edi\n\tsyscall\n1:"
                     : "=a"(result)
                     : "a"(SYS_clone), "D"(flags), "S"(NULL), "d"(parent_tid), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    errno = result < 0 ? (int)-result : 0;
    return result < 0 ? -1 : result;
}

static long three(struct clone_args arguments, size_t size) {
    fflush(stdout);
    long result = syscall(SYS_clone3, &arguments, size);
    if (result == 0)
        _exit(8);
    return result;
}

static void ended(const char *what, long child) {
    int status = -1;
    if (child < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %d %d\n", what, waitpid((pid_t)child, &status, __WALL) == child, WEXITSTATUS(status));
}

int main(void) {
    pid_t parent_tid = -1, child_tid = -1;
    ended("fork", raw(SIGCHLD, NULL, NULL));
    ended("without a signal", raw(0, NULL, NULL));
    ended("memory shared, like vfork", raw(CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL));
    long child = raw(CLONE_PARENT_SETTID | SIGCHLD, &parent_tid, NULL);
    CHECK(parent_tid == child);
    ended("with its number", child);
    ended("with its number nowhere", raw(CLONE_PARENT_SETTID | SIGCHLD, NOWHERE, NULL));
    child = raw(CLONE_CHILD_SETTID | CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, &child_tid);
    CHECK(child_tid == child);
    ended("in the child", child);
    ended("sharing actions, not memory", raw(CLONE_SIGHAND | SIGCHLD, NULL, NULL));
    ended("a thread, not sharing actions", raw(CLONE_THREAD | CLONE_VM, NULL, NULL));
    int wstatus = 0;
    SHOW(waitpid(-1, &wstatus, __WALL));

    ended("clone3", three((struct clone_args){.exit_signal = SIGCHLD}, sizeof(struct clone_args)));
    ended("the first version of it", three((struct clone_args){.exit_signal = SIGCHLD}, CLONE_ARGS_SIZE_VER0));
    ended("too small", three((struct clone_args){.exit_signal = SIGCHLD}, 63));
    ended("nothing", three((struct clone_args){.exit_signal = SIGCHLD}, 0));
    ended("huge", three((struct clone_args){.exit_signal = SIGCHLD}, 5000));
    ended("no such signal", three((struct clone_args){.exit_signal = 65}, sizeof(struct clone_args)));
    ended("a signal among the flags", three((struct clone_args){.flags = SIGCHLD}, sizeof(struct clone_args)));
    ended("an unknown flag", three((struct clone_args){.flags = 1ull << 50, .exit_signal = SIGCHLD}, sizeof(struct clone_args)));
    ended("a stack without size", three((struct clone_args){.exit_signal = SIGCHLD, .stack = 4096}, sizeof(struct clone_args)));
    ended("a size without stack", three((struct clone_args){.exit_signal = SIGCHLD, .stack_size = 4096}, sizeof(struct clone_args)));
    ended("clearing shared actions", three((struct clone_args){.flags = CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM, .exit_signal = SIGCHLD}, sizeof(struct clone_args)));
    ended("clearing actions", three((struct clone_args){.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD}, sizeof(struct clone_args)));
    SHOW(syscall(SYS_clone3, NOWHERE, sizeof(struct clone_args)));
    child = vfork();
    if (child == 0)
        _exit(9);
    ended("vfork", child);
    CHECK(syscall(SYS_set_tid_address, &child_tid) == gettid());
    return 0;
}
