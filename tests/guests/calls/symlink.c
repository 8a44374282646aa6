// symlink, readlink: whatever text a link may hold, and paths that go through too many of them.
#include "../story.h"

int main(void) {
    enter_story_directory();
    char text[5000], read_back[5000];
    int file = new_file("file", "text");
    SHOW(symlink("file", "soft"));
    SHOW(symlink("file", "soft"));
    SHOW(symlink("file", "file"));
    SHOW(symlink("", "x"));
    SHOW(symlink("x", ""));
    SHOW(symlink("x", "nowhere/x"));
    SHOW(symlink("x", "file/x"));
    SHOW(symlink("x", "new/"));
    SHOW(symlink(NULL, "x"));
    SHOW(symlink("x", NOWHERE));
    SHOW(symlink("anything \n at // all", "odd"));
    SHOW(readlink("odd", read_back, sizeof read_back));
    printf("%.19s\n", read_back);
    memset(text, 't', sizeof text);
    text[4096] = 0;
    SHOW(symlink(text, "longest"));
    text[1000] = 0;
    SHOW(symlink(text, "long"));
    SHOW(readlink("long", read_back, sizeof read_back));
    struct stat status;
    lstat("long", &status);
    SHOW(status.st_size);
    printf("mode %o\n", status.st_mode);

    SHOW(readlink("soft", read_back, 2));
    SHOW(readlink("soft", read_back, 0));
    SHOW(syscall(SYS_readlink, "soft", read_back, -1));
    SHOW(readlink("soft", NOWHERE, 10));
    char *end = before_the_end(2);
    SHOW(readlink("soft", end, 10));
    SHOW(readlink("soft", end, 2));
    SHOW(readlink("file", read_back, 10));
    SHOW(readlink(".", read_back, 10));
    SHOW(readlink("nothing", read_back, 10));
    SHOW(readlink("", read_back, 10));
    SHOW(readlink("file/x", read_back, 10));
    SHOW(readlink("soft/", read_back, 10));
    SHOW(readlink(NULL, read_back, 10));
    SHOW(readlinkat(-1, "soft", read_back, 10));
    SHOW(readlinkat(file, "soft", read_back, 10));
    SHOW(readlinkat(open("soft", O_PATH | O_NOFOLLOW), "", read_back, 10));
    SHOW(readlinkat(open("file", O_PATH), "", read_back, 10));
    int here = open(".", O_RDONLY);
    SHOW(readlinkat(here, "soft", read_back, 10));
    SHOW(symlinkat("file", here, "at"));
    SHOW(symlinkat("file", -1, "x"));
    SHOW(symlinkat("file", file, "x"));
    SHOW(access("at", F_OK));

    // Forty links in a row are followed, forty-one are not. Linux may begin a walk again, and goes on counting then.
    symlink("file", "chain0");
    for (int i = 1; i <= 41; i++) {
        char name[20], target[20];
        sprintf(name, "chain%d", i);
        sprintf(target, "chain%d", i - 1);
        symlink(target, name);
    }
    SHOW(access("chain19", F_OK));
    SHOW(access("chain40", F_OK));
    SHOW(open("chain41", O_RDONLY));
    SHOW(lstat("chain41", &status));
    return 0;
}
