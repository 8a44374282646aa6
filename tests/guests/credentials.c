// Real, effective and saved users and groups, supplementary groups, and what each allows; scheduling as it is asked for.
#include "story.h"
#include <grp.h>
#include <sched.h>
#include <sys/wait.h>

static void tell(const char *what) {
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    getresuid(&real, &effective, &saved);
    getresgid(&real_group, &effective_group, &saved_group);
    printf("%s: users %u %u %u, groups %u %u %u\n", what, real, effective, saved, real_group, effective_group, saved_group);
}

// The calls themselves: the C library's would tell other threads, and nothing else.
static long set_users(long real, long effective, long saved) { return syscall(SYS_setresuid, real, effective, saved); }

static void back_and_forth(void) {
    show("become another for a while", set_users(-1, 1000, -1));
    tell("effective only");
    show("saved is root, so back", set_users(-1, 0, -1));
    show("for good", syscall(SYS_setuid, 1000));
    tell("all three");
    show("no way back", syscall(SYS_setuid, 0));
    show("nor so", set_users(0, -1, -1));
    show("nor to somebody else", set_users(-1, 1001, -1));
    show("stay", set_users(1000, 1000, 1000));
}

static void swap(void) {
    show("real 1000, effective 1001", syscall(SYS_setreuid, 1000, 1001));
    tell("saved follows effective");
    show("swap them", syscall(SYS_setreuid, 1001, 1000));
    tell("swapped");
    show("to whom it was not", syscall(SYS_setreuid, -1, 0));
    show("back by setuid", syscall(SYS_setuid, 1001));
    tell("effective");
    show("minus one", syscall(SYS_setuid, -1));
}

static void groups(void) {
    gid_t list[] = {30, 10, 20}, told[8];
    show("set groups", setgroups(3, list));
    show("how many", getgroups(0, NULL));
    show("too little room", getgroups(2, told));
    int count = getgroups(8, told);
    for (int i = 0; i < count; i++)
        printf("group %u\n", told[i]);
    char path[] = "/tmp/septum-story-XXXXXX";
    int fd = mkstemp(path);
    fchown(fd, 0, 20);
    fchmod(fd, 0640);
    close(fd);
    show("become a user with that group", set_users(1000, 1000, 1000));
    int readable = open(path, O_RDONLY);
    works("read a file of a supplementary group", readable);
    works("write it", open(path, O_WRONLY));
    show("set groups now", setgroups(0, NULL));
    char status[4096];
    int proc = open("/proc/self/status", O_RDONLY);
    ssize_t len = read(proc, status, sizeof status - 1);
    status[len > 0 ? len : 0] = 0;
    for (char *line = strtok(status, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, "Uid:", 4) == 0 || strncmp(line, "Gid:", 4) == 0 || strncmp(line, "Groups:", 7) == 0)
            puts(line);
    unlink(path);
}

static void accessing(void) {
    char path[] = "/tmp/septum-story-XXXXXX";
    close(mkstemp(path));
    chmod(path, 0600);
    show("effective another", set_users(-1, 1000, -1));
    show("the real user may", access(path, R_OK));
    show("the effective may not", faccessat(AT_FDCWD, path, R_OK, AT_EACCESS));
    set_users(-1, 0, -1);
    unlink(path);
}

int main(void) {
    struct sched_param param = {.sched_priority = 0};
    show("scheduler", sched_getscheduler(0));
    show("batch", sched_setscheduler(0, SCHED_BATCH, &param));
    show("is remembered", sched_getscheduler(0));
    show("nobody's", sched_getscheduler(-1));
    show("of nobody there", sched_getscheduler(0x3ffffff));
    param.sched_priority = 5;
    show("a priority where there are none", sched_setparam(0, &param));
    show("a policy that there is not", sched_setscheduler(0, 77, &param));
    show("no parameters", syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, 0));
    show("reset on fork", sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &(struct sched_param){0}));
    fflush(stdout);
    if (fork() == 0) {
        show("a child's", sched_getscheduler(0));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    struct timespec interval;
    show("interval", sched_rr_get_interval(0, &interval));
    check("is short", interval.tv_sec == 0);
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t deadline[3];
    } attributes = {0};
    show("attributes", syscall(SYS_sched_getattr, 0, &attributes, 48, 0));
    printf("policy %u, flags %lu\n", attributes.policy, (unsigned long)attributes.flags);
    show("too small", syscall(SYS_sched_getattr, 0, &attributes, 47, 0));
    attributes.policy = 77;
    attributes.size = 48;
    show("set a policy that there is not", syscall(SYS_sched_setattr, 0, &attributes, 0));

    tell("at first");
    if (getuid() != 0)
        return 0;
    in_a_child(back_and_forth);
    in_a_child(swap);
    in_a_child(groups);
    in_a_child(accessing);
    return 0;
}
