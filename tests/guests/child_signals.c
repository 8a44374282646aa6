// Signals between processes: SIGCHLD and what it tells, children nobody waits for, groups and sessions, who may be signalled, stopping in the
// middle of a call.
#include "story.h"
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static volatile sig_atomic_t seen_code, seen_status, seen_count, seen_value;
static volatile pid_t seen_pid;

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)number;
    (void)context;
    seen_code = info->si_code;
    seen_status = info->si_status;
    seen_pid = info->si_pid;
    seen_value = info->si_value.sival_int;
    seen_count++;
}

static void handle(int number, int flags) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};
    sigaction(number, &action, NULL);
}

static void wait_for_signal(int count) {
    for (int tries = 0; seen_count < count && tries < 2000; tries++)
        usleep(1000);
}

static int gate[2];

// Does `body` when the parent says so, or at once.
static pid_t child(void (*body)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        _exit(0);
    }
    return pid;
}

static void exits(void) { _exit(9); }
static void sleeps(void) {
    for (;;)
        pause();
}

static void about_children(void) {
    handle(SIGCHLD, 0);
    pid_t pid = child(exits);
    wait_for_signal(1);
    printf("SIGCHLD: code %d status %d, %s\n", seen_code, seen_status, seen_pid == pid ? "the child" : "?");
    waitpid(pid, NULL, 0);
    seen_count = 0;
    pid = child(sleeps);
    kill(pid, SIGSTOP);
    wait_for_signal(1);
    printf("SIGCHLD: code %d status %d\n", seen_code, seen_status);
    kill(pid, SIGCONT);
    wait_for_signal(2);
    printf("SIGCHLD: code %d status %d\n", seen_code, seen_status);
    kill(pid, SIGKILL);
    wait_for_signal(3);
    printf("SIGCHLD: code %d status %d\n", seen_code, seen_status);
    waitpid(pid, NULL, 0);

    seen_count = 0;
    handle(SIGCHLD, SA_NOCLDSTOP);
    pid = child(sleeps);
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    kill(pid, SIGCONT);
    waitpid(pid, NULL, WCONTINUED);
    usleep(10000);
    show("with SA_NOCLDSTOP", seen_count);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);

    signal(SIGCHLD, SIG_IGN);
    pid = child(exits);
    show("ignored children are not waited for", waitpid(pid, NULL, 0));
    handle(SIGCHLD, SA_NOCLDWAIT);
    pid = child(exits);
    // The signal may interrupt the call before there is nobody left.
    pid_t result;
    while ((result = waitpid(pid, NULL, 0)) == -1 && errno == EINTR) {}
    show("nor with SA_NOCLDWAIT", result);
    signal(SIGCHLD, SIG_DFL);
}

static void tells_group(void) {
    char byte = getpgrp() == getpid();
    if (write(gate[1], &byte, 1) != 1)
        _exit(1);
    sleeps();
}

static void leads_session(void) {
    pid_t own = getpid();
    int right = setsid() == own && getsid(0) == own && getpgrp() == own && setsid() == -1 && errno == EPERM;
    right = right && setpgid(0, 0) == -1 && errno == EPERM;
    _exit(right ? 0 : 1);
}

static void groups(void) {
    char byte;
    pid_t own = getpgrp();
    pid_t leader = child(sleeps), member = child(sleeps);
    show("a group of its own", setpgid(leader, 0));
    show("it is", getpgid(leader) == leader);
    show("joined", setpgid(member, leader));
    show("a group that is none", setpgid(member, 1 << 21));
    show("a negative group", setpgid(member, -1));
    show("no process", setpgid(1 << 21, 0));
    show("the group of nobody", getpgid(1 << 21));
    show("the session of nobody", getsid(1 << 21));
    show("the session is the same", getsid(leader) == getsid(0));
    int status;
    show("the group is stopped", kill(-leader, SIGSTOP));
    show("one of it", waitpid(-leader, &status, WUNTRACED) > 0 && WIFSTOPPED(status));
    show("the other", waitpid(-leader, &status, WUNTRACED) > 0 && WIFSTOPPED(status));
    show("none is in mine", waitpid(0, &status, WNOHANG));
    show("killed", killpg(leader, SIGKILL));
    show("one of it", waitpid(-leader, &status, 0) > 0 && WIFSIGNALED(status));
    show("the other", waitpid(-leader, &status, 0) > 0 && WIFSIGNALED(status));
    show("nobody is left in it", kill(-leader, 0));
    check("I am where I was", getpgrp() == own);

    pid_t pid = child(leads_session);
    waitpid(pid, &status, 0);
    show("a session", WEXITSTATUS(status));
    if (pipe(gate) != 0)
        return;
    pid = child(tells_group);
    check("a child begins in its parent's group", read(gate[0], &byte, 1) == 1 && byte == 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    // After execve its parent may not move it.
    pid = fork();
    if (pid == 0) {
        execl("/bin/sleep", "sleep", "100", NULL);
        _exit(1);
    }
    char path[64], name[16] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    for (int tries = 0; strncmp(name, "sleep", 5) != 0 && tries < 2000; tries++) {
        usleep(1000);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || read(fd, name, sizeof name) < 0)
            break;
        close(fd);
    }
    show("moved after execve", setpgid(pid, 0));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void echoes(void) {
    seen_count = 0;
    handle(SIGUSR1, 0);
    handle(SIGUSR2, 0);
    char byte = 'r';
    if (write(gate[1], &byte, 1) != 1)
        _exit(1);
    wait_for_signal(1);
    _exit(seen_pid == getppid() && seen_code == SI_QUEUE && seen_value == 77 ? 0 : 1);
}

static void between(void) {
    char byte;
    int status;
    pid_t pid = child(echoes);
    union sigval value = {.sival_int = 77};
    if (read(gate[0], &byte, 1) != 1)
        return;
    show("no such signal", kill(pid, 65));
    show("no such thread", (int)syscall(SYS_tgkill, pid, getpid(), 0));
    show("a thread of it", (int)syscall(SYS_tgkill, pid, pid, 0));
    siginfo_t info = {.si_signo = SIGUSR2, .si_code = SI_USER};
    show("nobody pretends to be kill", (int)syscall(SYS_rt_sigqueueinfo, pid, SIGUSR2, &info));
    show("queued", sigqueue(pid, SIGUSR1, value));
    waitpid(pid, &status, 0);
    show("and taken", WEXITSTATUS(status));
    show("to nobody", sigqueue(1 << 21, SIGUSR1, value));
    pid = child(exits);
    siginfo_t left;
    waitid(P_PID, (id_t)pid, &left, WEXITED | WNOWAIT);
    show("to the thread of a zombie", (int)syscall(SYS_tgkill, pid, pid, SIGTERM));
    show("and to the zombie", sigqueue(pid, SIGUSR1, value));
    waitpid(pid, NULL, 0);
    pid = child(sleeps);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    kill(pid, SIGTERM);
    siginfo_t taken;
    show("sigwaitinfo", sigwaitinfo(&set, &taken));
    printf("about: code %d status %d\n", taken.si_code, taken.si_status);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    waitpid(pid, NULL, 0);
}

static void *naps(void *unused) {
    struct timespec time = {.tv_nsec = 60000000};
    return (void *)(intptr_t)(nanosleep(&time, NULL) == 0 && unused == NULL);
}

// A thread that sleeps and one that reads: neither call notices that the process was stopped.
static void naps_and_reads(void) {
    pthread_t thread;
    void *slept;
    char byte;
    pthread_create(&thread, NULL, naps, NULL);
    int has_read = read(gate[0], &byte, 1) == 1;
    pthread_join(thread, &slept);
    _exit(has_read && slept ? 0 : 1);
}

static void counts(void) {
    for (char byte = 0;; byte++) {
        usleep(1000);
        if (write(gate[1], &byte, 1) != 1)
            _exit(1);
    }
}

static void stops(void) {
    int status;
    pid_t pid = child(naps_and_reads);
    usleep(10000);
    kill(pid, SIGSTOP);
    show("stopped with its threads", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    usleep(80000);
    if (write(gate[1], "x", 1) != 1)
        return;
    usleep(5000);
    show("it does not go on by itself", waitpid(pid, &status, WNOHANG));
    kill(pid, SIGCONT);
    waitpid(pid, &status, 0);
    show("its calls went on", status);
    // One that is busy stays where it is.
    pid = child(counts);
    char bytes[4096];
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    fcntl(gate[0], F_SETFL, O_NONBLOCK);
    while (read(gate[0], bytes, sizeof bytes) > 0) {}
    usleep(30000);
    show("a stopped child does nothing", read(gate[0], bytes, 1));
    kill(pid, SIGCONT);
    usleep(30000);
    show("it does again", read(gate[0], bytes, 1) > 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

int main(void) {
    about_children();
    groups();
    between();
    stops();
    return 0;
}
