// Processes as descriptors: opening, waiting by poll and waitid, signals, another process's files, and what is an error.
#include "story.h"
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

static int pidfd_open_(pid_t pid, unsigned flags) { return (int)syscall(SYS_pidfd_open, pid, flags); }
static int pidfd_send(int fd, int signal, siginfo_t *info, unsigned flags) {
    return (int)syscall(SYS_pidfd_send_signal, fd, signal, info, flags);
}
static int pidfd_getfd_(int fd, int wanted, unsigned flags) {
    return (int)syscall(SYS_pidfd_getfd, fd, wanted, flags);
}

static int is_ready(int fd, int timeout) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    return poll(&one, 1, timeout) == 1 && (one.revents & POLLIN) != 0;
}

static volatile sig_atomic_t value;
static void handler(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    value = info->si_code == SI_QUEUE ? info->si_value.sival_int : -1;
}

static pid_t sleeper(void) {
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(1);
    }
    return child;
}

int main(void) {
    show("open nobody", pidfd_open_(0x3ffffff, 0));
    show("open number 0", pidfd_open_(0, 0));
    show("open with a flag that there is not", pidfd_open_(getpid(), 1));

    pid_t child = sleeper();
    int fd = pidfd_open_(child, 0);
    works("open a child", fd);
    show("it is closed by exec", fcntl(fd, F_GETFD));
    char byte;
    show("read it", read(fd, &byte, 1));
    show("ready while it lives", is_ready(fd, 0));
    show("signal 0", pidfd_send(fd, 0, NULL, 0));
    show("a flag", pidfd_send(fd, 0, NULL, 1 << 20));
    show("signal 999", pidfd_send(fd, 999, NULL, 0));
    show("not such a descriptor", pidfd_send(0, 0, NULL, 0));
    show("a closed one", pidfd_send(99, 0, NULL, 0));
    siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_QUEUE};
    char name[40];
    sprintf(name, "/proc/%d", child);
    int directory = open(name, O_RDONLY | O_DIRECTORY);
    show("its directory of /proc", pidfd_send(directory, 0, NULL, 0));
    show("another directory", pidfd_send(open("/proc", O_RDONLY), 0, NULL, 0));
    show("two signals at once", pidfd_send(fd, SIGKILL, &info, 0));
    siginfo_t lie = {.si_signo = SIGTERM, .si_code = SI_USER};
    show("as if from kill", pidfd_send(fd, SIGTERM, &lie, 0));
    show("terminate it", pidfd_send(fd, SIGTERM, NULL, 0));
    show("ready when it has ended", is_ready(fd, 10000));
    show("signal a zombie", pidfd_send(fd, SIGTERM, NULL, 0));
    memset(&info, 0, sizeof info);
    show("wait for it", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    check("that it was", info.si_pid == child);
    show("how it ended", info.si_code == CLD_KILLED ? info.si_status : -1);
    show("wait again", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    show("signal who is gone", pidfd_send(fd, SIGTERM, NULL, 0));
    show("still ready", is_ready(fd, 0));
    show("the directory of who is gone", pidfd_send(directory, SIGTERM, NULL, 0));
    show("wait by another file", waitid(P_PIDFD, 0, &info, WEXITED));
    show("wait by nothing", waitid(P_PIDFD, 99, &info, WEXITED));
    close(fd);

    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    fd = pidfd_open_(getpid(), 0);
    siginfo_t own = {.si_signo = SIGUSR1, .si_code = SI_QUEUE, .si_value = {.sival_int = 42}};
    show("a signal with a value to itself", pidfd_send(fd, SIGUSR1, &own, 0));
    show("the value", value);
    close(fd);

    child = sleeper();
    fd = pidfd_open_(child, O_NONBLOCK);
    show("wait with one that does not wait", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    info.si_pid = 7;
    show("the same, not wanting to wait", waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG));
    show("nobody", info.si_pid);
    kill(child, SIGKILL);
    is_ready(fd, 10000);
    show("once it has ended", waitid(P_PIDFD, (id_t)fd, &info, WEXITED));
    close(fd);

    int ends[2];
    (void)!pipe(ends);
    child = fork();
    if (child == 0) {
        int wanted = open("/dev/null", O_WRONLY);
        dup2(wanted, 50);
        (void)!write(ends[1], "x", 1);
        pause();
        _exit(1);
    }
    (void)!read(ends[0], &byte, 1);
    fd = pidfd_open_(child, 0);
    int theirs = pidfd_getfd_(fd, 50, 0);
    works("another's file", theirs);
    show("open for", fcntl(theirs, F_GETFL) & O_ACCMODE);
    show("closed by exec", fcntl(theirs, F_GETFD));
    show("write to it", write(theirs, "x", 1));
    show("a file that it does not have", pidfd_getfd_(fd, 51, 0));
    show("a flag", pidfd_getfd_(fd, 50, 1 << 20));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    show("of who is gone", pidfd_getfd_(fd, 50, 0));
    close(fd);

    int made = -1;
    child = (pid_t)syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &made, 0, 0);
    if (child == 0)
        _exit(made == -1 ? 7 : 8);
    works("clone with a descriptor", made);
    show("ready when it ends", is_ready(made, 10000));
    show("wait for it", waitid(P_PIDFD, (id_t)made, &info, WEXITED));
    show("the child did not see it", info.si_status);
    close(made);
    show("nowhere to put it", syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, 8, 0, 0));
    show("one place for two numbers", syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &made, 0, 0));
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } arguments = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&made, .exit_signal = SIGCHLD};
    child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0)
        _exit(9);
    show("clone3 too", waitid(P_PIDFD, (id_t)made, &info, WEXITED));
    show("its status", info.si_status);

    show("unshare nothing", unshare(0));
    show("unshare what there is not", unshare(1));
    int shared = open("/dev/null", O_WRONLY);
    fflush(stdout);
    child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        int result = unshare(CLONE_FILES);
        close(shared);
        _exit(result == 0 ? 5 : 6);
    }
    waitid(P_PID, (id_t)child, &info, WEXITED);
    show("a child with files of its own", info.si_status);
    show("did not close ours", write(shared, "x", 1));
    return 0;
}
