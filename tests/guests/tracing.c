// Tracing: stops at system calls, signals and events, what is seen and changed there, seizing, interrupting, letting go, and what is an error.
#include "story.h"
#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>

static volatile long word = 0x1122334455667788;

static pid_t begin(void (*part)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        part();
        _exit(3);
    }
    return child;
}

static int wait_for(pid_t pid) {
    int status = -1;
    if (waitpid(pid, &status, __WALL) != pid)
        return -1;
    return status;
}

static void tell(const char *what, int status) {
    if (WIFSTOPPED(status))
        printf("%s: stopped %#x event %d\n", what, WSTOPSIG(status), status >> 16);
    else if (WIFSIGNALED(status))
        printf("%s: killed by %d\n", what, WTERMSIG(status));
    else
        printf("%s: exited %d\n", what, WEXITSTATUS(status));
}

static void some_calls(void) {
    syscall(SYS_getppid);
    syscall(SYS_close, -5);
    syscall(SYS_lseek, -1, 2, 3);
    syscall(SYS_exit_group, 7);
}

static void calls(void) {
    pid_t child = begin(some_calls);
    tell("first", wait_for(child));
    show("options", ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
    show("unknown options", ptrace(PTRACE_SETOPTIONS, child, 0, 1 << 30));
    struct __ptrace_syscall_info info;
    show("no call yet", ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info));
    printf("op %d arch %#x\n", info.op, info.arch);
    int status;
    for (;;) {
        ptrace(PTRACE_SYSCALL, child, 0, 0);
        status = wait_for(child);
        if (!WIFSTOPPED(status))
            break;
        long size = ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
        struct user_regs_struct registers;
        ptrace(PTRACE_GETREGS, child, 0, &registers);
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
            printf("%#x size %ld call %ld(%ld, %ld) rax %ld same %d\n", WSTOPSIG(status), size, (long)info.entry.nr, info.entry.nr > 3 ? 0 : (long)info.entry.args[0],
                   info.entry.nr == SYS_lseek ? (long)info.entry.args[1] : 0, (long)registers.rax, registers.orig_rax == info.entry.nr);
        else
            printf("%#x size %ld result %ld error %d same %d\n", WSTOPSIG(status), size, info.exit.rval == getpid() ? 1 : (long)info.exit.rval, info.exit.is_error,
                   (long)registers.rax == info.exit.rval);
        check("instruction pointer", info.instruction_pointer == registers.rip && info.stack_pointer == registers.rsp);
    }
    tell("end", status);
}

static void ask(void) {
    long first = syscall(SYS_getpid), second = syscall(SYS_getpid), third = syscall(SYS_getpid);
    _exit((first == getppid()) | (second == -ENOSYS || errno == ENOSYS) << 1 | (third == 1234) << 2 | (word == 99) << 3);
}

static void changes(void) {
    pid_t child = begin(ask);
    wait_for(child);
    struct user_regs_struct registers;
    struct iovec set = {&registers, sizeof registers};
    show("a word", ptrace(PTRACE_PEEKDATA, child, &word, 0) == word);
    show("another one", ptrace(PTRACE_POKEDATA, child, &word, 99));
    errno = 0;
    ptrace(PTRACE_PEEKDATA, child, NOWHERE, 0);
    printf("nowhere: %s\n", strerrorname_np(errno));
    int number = 0, is_entry = 1;
    for (;;) {
        ptrace(PTRACE_SYSCALL, child, 0, 0);
        int status = wait_for(child);
        if (!WIFSTOPPED(status)) {
            tell("changed", status);
            return;
        }
        ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &set);
        if (registers.orig_rax == SYS_getpid || registers.orig_rax == SYS_getppid || registers.orig_rax == (unsigned long)-1) {
            if (is_entry) {
                number++;
                if (number == 1)
                    registers.orig_rax = SYS_getppid;
                if (number == 2)
                    registers.orig_rax = -1;
            } else if (number == 3)
                registers.rax = 1234;
            ptrace(PTRACE_SETREGSET, child, NT_PRSTATUS, &set);
        }
        is_entry = !is_entry;
    }
}

static volatile sig_atomic_t handled;
static void on_signal(int number) {
    handled += number;
}

static void raises(void) {
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    raise(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGCHLD);
    raise(SIGTERM);
    _exit(handled);
}

static void signals(void) {
    pid_t child = begin(raises);
    wait_for(child);
    siginfo_t info;
    ptrace(PTRACE_CONT, child, 0, 0);
    tell("a signal", wait_for(child));
    show("about it", ptrace(PTRACE_GETSIGINFO, child, 0, &info));
    printf("%d code %d mine %d\n", info.si_signo, info.si_code, info.si_pid == child);
    ptrace(PTRACE_CONT, child, 0, SIGUSR2);
    tell("the same", wait_for(child));
    show("not a signal", ptrace(PTRACE_CONT, child, 0, 100));
    ptrace(PTRACE_CONT, child, 0, 0);
    tell("one that is nothing", wait_for(child));
    ptrace(PTRACE_CONT, child, 0, SIGCHLD);
    tell("the end of it", wait_for(child));
    ptrace(PTRACE_CONT, child, 0, 0);
    tell("suppressed", wait_for(child));
    child = begin(raises);
    wait_for(child);
    ptrace(PTRACE_CONT, child, 0, 0);
    wait_for(child);
    ptrace(PTRACE_CONT, child, 0, SIGKILL);
    tell("something else", wait_for(child));
}

static void makes(void) {
    pid_t child = fork();
    if (child == 0)
        _exit(5);
    int status = 0;
    waitpid(child, &status, 0);
    char *arguments[] = {"true", NULL};
    execv("/bin/true", arguments);
    _exit(9);
}

static void events(void) {
    pid_t child = begin(makes), other = 0;
    unsigned long message = 0;
    int status = wait_for(child), ended = 0;
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    ptrace(PTRACE_CONT, child, 0, 0);
    status = wait_for(child);
    tell("fork", status);
    ptrace(PTRACE_GETEVENTMSG, child, 0, &message);
    other = (pid_t)message;
    tell("the child begins", wait_for(other));
    ptrace(PTRACE_CONT, other, 0, 0);
    ptrace(PTRACE_CONT, child, 0, 0);
    // Whose turn is first is open.
    for (int i = 0; i < 4 && ended < 2; i++) {
        pid_t who = waitpid(-1, &status, __WALL);
        if (who == other) {
            tell("the child", status);
            ended++;
        } else if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGCHLD)
            ptrace(PTRACE_CONT, who, 0, SIGCHLD);
        else {
            tell("exec", status);
            ended++;
        }
    }
    ptrace(PTRACE_GETEVENTMSG, child, 0, &message);
    check("was itself", (pid_t)message == child);
    ptrace(PTRACE_CONT, child, 0, 0);
    tell("end", wait_for(child));
}

static void loops(void) {
    for (;;)
        pause();
}

static void seized(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        loops();
    usleep(50000);
    show("seize", ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD));
    show("again", ptrace(PTRACE_SEIZE, child, 0, 0));
    struct user_regs_struct registers;
    show("it runs", ptrace(PTRACE_GETREGS, child, 0, &registers));
    show("cannot go on", ptrace(PTRACE_CONT, child, 0, 0));
    show("interrupt", ptrace(PTRACE_INTERRUPT, child, 0, 0));
    tell("interrupted", wait_for(child));
    show("now", ptrace(PTRACE_GETREGS, child, 0, &registers));
    show("listen", ptrace(PTRACE_LISTEN, child, 0, 0));
    kill(child, SIGCONT);
    tell("continued", wait_for(child));
    ptrace(PTRACE_CONT, child, 0, 0);
    tell("the signal for that", wait_for(child));
    show("let go", ptrace(PTRACE_DETACH, child, 0, 0));
    show("gone", ptrace(PTRACE_INTERRUPT, child, 0, 0));
    kill(child, SIGKILL);
    tell("end", wait_for(child));
}

static void attached(void) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        loops();
    usleep(50000);
    show("attach", ptrace(PTRACE_ATTACH, child, 0, 0));
    tell("stopped", wait_for(child));
    struct user_regs_struct registers;
    show("registers", ptrace(PTRACE_GETREGS, child, 0, &registers));
    show("not seized", ptrace(PTRACE_INTERRUPT, child, 0, 0));
    show("let go", ptrace(PTRACE_DETACH, child, 0, SIGTERM));
    tell("end", wait_for(child));
    show("myself", ptrace(PTRACE_ATTACH, getpid(), 0, 0));
    show("nobody", ptrace(PTRACE_ATTACH, 0x3ffffffe, 0, 0));
    show("not traced", ptrace(PTRACE_CONT, getppid(), 0, 0));
}

static void steps(void) {
    raise(SIGUSR1);
    __asm__ volatile("nop\nnop\nnop\nnop\nnop");
}

static void stepped(void) {
    pid_t child = begin(steps);
    wait_for(child);
    int right = 1;
    ptrace(PTRACE_CONT, child, 0, 0);
    tell("before the steps", wait_for(child));
    for (int i = 0; i < 20; i++) {
        struct user_regs_struct before, after;
        ptrace(PTRACE_GETREGS, child, 0, &before);
        ptrace(PTRACE_SINGLESTEP, child, 0, 0);
        int status = wait_for(child);
        right &= WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
        ptrace(PTRACE_GETREGS, child, 0, &after);
        right &= before.rip != after.rip;
    }
    check("step by step", right);
    ptrace(PTRACE_CONT, child, 0, 0);
    tell("end", wait_for(child));
}

int main(void) {
    calls();
    changes();
    signals();
    events();
    seized();
    attached();
    stepped();
    return 0;
}
