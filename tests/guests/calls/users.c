// setuid, setreuid, setresuid, setgid and theirs, getgroups: to oneself for all, to others for user 0 only.
#include "../story.h"
#include <grp.h>
#include <sys/fsuid.h>

static int is_root;

// What works for user 0 and is EPERM for anybody else.
static void privileged(const char *what, long result) {
    check(what, is_root ? result == 0 : result == -1 && errno == EPERM);
}

static void leave_user_0(void) {
    if (!is_root)
        return;
    check("another group", setgid(54321) == 0 && getgid() == 54321 && getegid() == 54321);
    check("another user", setuid(12345) == 0 && getuid() == 12345 && geteuid() == 12345);
    uid_t real, effective, saved;
    check("all three", getresuid(&real, &effective, &saved) == 0 && real == 12345 && effective == 12345 && saved == 12345);
    check("no way back", setuid(0) == -1 && errno == EPERM);
    check("nor for the group", setgid(0) == -1 && errno == EPERM);
    check("nor by another call", setresuid(0, 0, 0) == -1 && errno == EPERM);
    check("nor by another call", setreuid(0, 0) == -1 && errno == EPERM);
    check("nor groups", setgroups(0, NULL) == -1 && errno == EPERM);
    check("to oneself", setuid(12345) == 0 && setreuid(12345, 12345) == 0 && setresuid(-1, 12345, -1) == 0);
}

int main(void) {
    is_root = geteuid() == 0;
    uid_t uid = getuid(), real, effective, saved;
    gid_t gid = getgid(), groups[70000];
    SHOW(setuid(uid));
    SHOW(setgid(gid));
    SHOW(setreuid(-1, -1));
    SHOW(setreuid(uid, uid));
    SHOW(setregid(gid, -1));
    SHOW(setresuid(-1, -1, -1));
    SHOW(setresuid(uid, uid, uid));
    SHOW(setresgid(gid, -1, gid));
    SHOW(setuid(-1));
    SHOW(setgid(-1));
    SHOW(getresuid(&real, &effective, &saved));
    CHECK(real == uid && effective == uid && saved == uid);
    SHOW(syscall(SYS_getresuid, &real, NOWHERE, &saved));
    SHOW(syscall(SYS_getresgid, NOWHERE, &effective, &saved));
    SHOW(getresgid(&real, &effective, &saved));
    CHECK(real == gid && effective == gid && saved == gid);
    int count = getgroups(0, NULL);
    CHECK(count >= 0 && getgroups(70000, groups) == count);
    SHOW(getgroups(-1, groups));
    SHOW(syscall(SYS_setgroups, -1, groups));
    SHOW(syscall(SYS_setgroups, 65537, groups) == -1 && (errno == EINVAL || errno == EPERM));
    groups[0] = gid;
    privileged("groups", setgroups(1, groups));
    in_a_child(leave_user_0);
    // Others stay what they are.
    CHECK(getuid() == uid && getgid() == gid);
    return 0;
}
