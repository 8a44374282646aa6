// setfsuid, setfsgid: they only ever tell who one was before; and no file notices when it stays the same.
#include "../story.h"
#include <sys/fsuid.h>

int main(void) {
    uid_t uid = geteuid();
    gid_t gid = getegid();
    CHECK((uid_t)setfsuid(uid) == uid);
    CHECK((gid_t)setfsgid(gid) == gid);
    // -1 is nobody, so this asks.
    CHECK((uid_t)setfsuid(-1) == uid);
    CHECK((gid_t)setfsgid(-1) == gid);
    CHECK((uid_t)setfsuid(-1) == uid);
    CHECK(geteuid() == uid && getegid() == gid);
    SHOW(access("/dev/null", R_OK));
    return 0;
}
