// getxattr, setxattr, listxattr, removexattr and their kin: names that cannot be, and files that are not there.
#include "../story.h"
#include <sys/xattr.h>

int main(void) {
    enter_story_directory();
    char value[64], name[300];
    int file = new_file("file", "text");
    symlink("file", "soft");
    symlink("nothing", "dangling");
    SHOW(getxattr("file", "user.nothing", value, sizeof value));
    SHOW(lgetxattr("soft", "security.nothing", value, sizeof value));
    SHOW(fgetxattr(file, "user.nothing", value, sizeof value));
    SHOW(getxattr("file", "no prefix", value, sizeof value));
    SHOW(getxattr("nothing", "user.x", value, sizeof value));
    SHOW(getxattr("dangling", "user.x", value, sizeof value));
    SHOW(getxattr("file/x", "user.x", value, sizeof value));
    SHOW(getxattr(NOWHERE, "user.x", value, sizeof value));
    SHOW(getxattr("file", NOWHERE, value, sizeof value));
    memset(name, 'n', sizeof name);
    memcpy(name, "user.", 5);
    name[256] = 0;
    SHOW(getxattr("file", name, value, sizeof value));
    SHOW(removexattr("file", name));
    SHOW(fgetxattr(-1, "user.x", value, sizeof value));
    SHOW(setxattr("nothing", "user.x", "v", 1, 0));
    SHOW(lsetxattr("nothing", "user.x", "v", 1, 0));
    SHOW(fsetxattr(-1, "user.x", "v", 1, 0));
    SHOW(setxattr("file", "no prefix", "v", 1, 0));
    SHOW(removexattr("nothing", "user.x"));
    SHOW(removexattr("file", "user.nothing"));
    SHOW(lremovexattr("nothing", "user.x"));
    SHOW(fremovexattr(file, "user.nothing"));
    SHOW(fremovexattr(-1, "user.x"));
    SHOW(listxattr("nothing", value, sizeof value));
    SHOW(llistxattr("nothing", value, sizeof value));
    SHOW(flistxattr(-1, value, sizeof value));
    CHECK(listxattr("file", NULL, 0) >= 0 && llistxattr("soft", NULL, 0) >= 0 && flistxattr(file, NULL, 0) >= 0);
    return 0;
}
