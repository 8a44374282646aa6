// Children whose parent has gone, and what a process is told of others: PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, /proc, limits, times.
#include "story.h"
#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <sys/wait.h>

static pid_t child(void) {
    fflush(stdout);
    return fork();
}

static int status_of(pid_t pid) {
    int status;
    if (pid <= 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void await_parent(pid_t other_than) {
    for (int tries = 0; getppid() == other_than && tries < 2000; tries++)
        usleep(1000);
}

static void orphans(void) {
    int ends[2];
    char byte = 0;
    if (pipe(ends) != 0)
        return;
    pid_t own = getpid();
    pid_t middle = child();
    if (middle == 0) {
        middle = getpid();
        if (fork() == 0) {
            await_parent(middle);
            byte = getppid() != middle;
            _exit(write(ends[1], &byte, 1) != 1);
        }
        _exit(0);
    }
    show("the parent", status_of(middle));
    check("an orphan has another parent", read(ends[0], &byte, 1) == 1 && byte == 1);
    show("its grandparent has no child", waitpid(-1, NULL, 0));

    show("a subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1));
    middle = child();
    if (middle == 0) {
        middle = getpid();
        if (fork() == 0) {
            await_parent(middle);
            _exit(getppid() == own ? 44 : 45);
        }
        pid_t zombie = fork();
        if (zombie == 0)
            _exit(46);
        siginfo_t info;
        _exit(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT) != 0);
    }
    show("the parent", status_of(middle));
    int status, sum = 0;
    while (wait(&status) > 0)
        sum += WEXITSTATUS(status);
    show("has its orphans, zombies or not", sum);
    int is = 0;
    prctl(PR_GET_CHILD_SUBREAPER, &is);
    show("it is one", is);
    pid_t pid = child();
    if (pid == 0) {
        prctl(PR_GET_CHILD_SUBREAPER, &is);
        _exit(is);
    }
    show("its child is none", status_of(pid));

    middle = child();
    if (middle == 0) {
        pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            if (write(ends[1], "x", 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        _exit(read(ends[0], &byte, 1) != 1);
    }
    show("the parent", status_of(middle));
    pid = wait(&status);
    show("its child got a signal", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
    show("no such signal", prctl(PR_SET_PDEATHSIG, 65));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(ends[0]);
    close(ends[1]);
}

static int holds(const char *format, pid_t pid, const char *name, const char *text) {
    char path[100], contents[4096] = "";
    snprintf(path, sizeof path, format, pid, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, contents, sizeof contents - 1);
    close(fd);
    for (ssize_t at = 0; at < length; at++)
        if (contents[at] == 0)
            contents[at] = ' ';
    return strstr(contents, text) != NULL;
}

// A program that has just been started is not all there at once.
static int comes_to_hold(pid_t pid, const char *name, const char *text) {
    int holds_it = 0;
    for (int tries = 0; holds_it != 1 && tries < 2000; tries++) {
        usleep(tries == 0 ? 0 : 1000);
        holds_it = holds("/proc/%d/%s", pid, name, text);
    }
    return holds_it;
}

static void others(void) {
    pid_t pid = child();
    if (pid == 0) {
        execl("/bin/sleep", "sleep", "1000", (char *)NULL);
        _exit(1);
    }
    char line[100];
    show("comm", comes_to_hold(pid, "comm", "sleep\n"));
    show("cmdline", comes_to_hold(pid, "cmdline", "sleep 1000 "));
    snprintf(line, sizeof line, "PPid:\t%d\n", getpid());
    show("status", comes_to_hold(pid, "status", line));
    snprintf(line, sizeof line, "%d (sleep) S %d %d %d ", pid, getpid(), getpgrp(), getsid(0));
    show("stat", comes_to_hold(pid, "stat", line));
    show("maps", holds("/proc/%d/%s", pid, "maps", "[stack]") != -1);
    snprintf(line, sizeof line, "/proc/%d/task/%d/stat", pid, pid);
    show("task", access(line, R_OK));
    snprintf(line, sizeof line, "/proc/%d/exe", pid);
    char name[200] = "";
    show("exe", readlink(line, name, sizeof name - 1) > 0 && strstr(name, "/sleep") != NULL);
    snprintf(line, sizeof line, "/proc/%d/fd", pid);
    DIR *directory = opendir(line);
    int found = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        found += entry->d_name[0] >= '0' && entry->d_name[0] <= '2' && entry->d_name[1] == 0;
    closedir(directory);
    show("its standard streams", found);
    directory = opendir("/proc");
    snprintf(line, sizeof line, "%d", pid);
    found = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        found += strcmp(entry->d_name, line) == 0;
    closedir(directory);
    show("listed", found);

    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    show("stopped", holds("/proc/%d/%s", pid, "status", "State:\tT (stopped)\n"));
    struct rlimit limit = {7, 9}, before;
    show("its limit", prlimit(pid, RLIMIT_NOFILE, &limit, &before));
    show("was mine", before.rlim_cur > 9);
    show("is its own", prlimit(pid, RLIMIT_NOFILE, NULL, &before) == 0 && before.rlim_cur == 7 && before.rlim_max == 9);
    show("of nobody", prlimit(1 << 21, RLIMIT_NOFILE, NULL, &before));
    int nice = getpriority(PRIO_PROCESS, 0);
    show("nicer", setpriority(PRIO_PROCESS, (id_t)pid, nice + 3));
    show("it is", getpriority(PRIO_PROCESS, (id_t)pid) - nice);
    show("I am not", getpriority(PRIO_PROCESS, 0) - nice);
    errno = 0;
    show("of nobody", getpriority(PRIO_PROCESS, 1 << 21) == -1 && errno == ESRCH);
    show("of what", setpriority(5, 0, 0));
    kill(pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    show("a zombie", holds("/proc/%d/%s", pid, "status", "State:\tZ (zombie)\n"));
    show("has no arguments", holds("/proc/%d/%s", pid, "cmdline", "sleep"));
    waitpid(pid, NULL, 0);
    show("gone", holds("/proc/%d/%s", pid, "status", "") == -1);
}

static void time_used(void) {
    struct tms before, after;
    times(&before);
    pid_t pid = child();
    if (pid == 0) {
        struct timespec start = now(CLOCK_PROCESS_CPUTIME_ID);
        while (seconds_between(start, now(CLOCK_PROCESS_CPUTIME_ID)) < 0.05) {}
        _exit(seconds_between((struct timespec){0}, start) < 1 ? 0 : 1);
    }
    clockid_t clock;
    struct timespec time;
    show("its clock", clock_getcpuclockid(pid, &clock));
    show("tells", clock_gettime(clock, &time));
    show("a child begins with no time used", status_of(pid));
    times(&after);
    check("its time is mine when I have waited",
          after.tms_cutime + after.tms_cstime - before.tms_cutime - before.tms_cstime >= 4);
}

int main(void) {
    orphans();
    others();
    time_used();
    return 0;
}
