// Extended attributes of files: set, told, listed, replaced and removed; of files, directories and links.
#include "story.h"
#include <sys/xattr.h>

// Nobody shall warn of what is meant to be refused.
static char *const nowhere = (char *)8;
static volatile size_t too_much = 65537;

static char large[65536], back[65536];

static int compare(const void *one, const void *other) {
    return strcmp(*(char *const *)one, *(char *const *)other);
}

// The names that begin with "user.", in order: others are the system's own business.
static void list(const char *what, ssize_t len, char *names) {
    char *found[16];
    int count = 0;
    for (char *name = names; name < names + len; name += strlen(name) + 1)
        if (strncmp(name, "user.", 5) == 0 && count < 16)
            found[count++] = name;
    qsort(found, count, sizeof *found, compare);
    printf("%s:", what);
    for (int i = 0; i < count; i++)
        printf(" %s", found[i]);
    printf("\n");
}

int main(void) {
    enter_story_directory();
    int file = open("file", O_RDWR | O_CREAT, 0644);
    char names[1024], value[64];
    show("none yet", getxattr("file", "user.colour", value, sizeof value));
    show("set", setxattr("file", "user.colour", "green", 5, 0));
    show("its length", getxattr("file", "user.colour", NULL, 0));
    show("its value", getxattr("file", "user.colour", value, sizeof value));
    printf("%.5s\n", value);
    show("too little room", getxattr("file", "user.colour", value, 4));
    show("only if absent", setxattr("file", "user.colour", "red", 3, XATTR_CREATE));
    show("only if present", setxattr("file", "user.shape", "round", 5, XATTR_REPLACE));
    show("both", setxattr("file", "user.colour", "red", 3, XATTR_CREATE | XATTR_REPLACE));
    show("another flag", setxattr("file", "user.colour", "red", 3, 4));
    show("replaced, by descriptor", fsetxattr(file, "user.colour", "blue", 4, XATTR_REPLACE));
    show("its value", fgetxattr(file, "user.colour", value, sizeof value));
    printf("%.4s\n", value);
    show("an empty one", setxattr("file", "user.empty", "", 0, 0));
    show("its length", getxattr("file", "user.empty", value, sizeof value));
    list("names", listxattr("file", names, sizeof names), names);
    list("names, by descriptor", flistxattr(file, names, sizeof names), names);
    check("the list's length is told", listxattr("file", NULL, 0) >= 23);
    show("no room for the list", listxattr("file", names, 3));

    show("through a link", symlink("file", "link"));
    show("the file's", getxattr("link", "user.colour", value, sizeof value));
    show("the link's own", lgetxattr("link", "user.colour", value, sizeof value));
    show("links have none", lsetxattr("link", "user.colour", "red", 3, 0));

    mkdir("directory", 0755);
    show("a directory", setxattr("directory", "user.colour", "white", 5, 0));
    show("its value", getxattr("directory", "user.colour", value, sizeof value));
    mkfifo("pipe", 0644);
    show("a fifo", setxattr("pipe", "user.colour", "red", 3, 0));
    show("a fifo's", getxattr("pipe", "user.colour", value, sizeof value));

    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 31 + i / 256);
    show("a longer one", setxattr("file", "user.longer", large, 2300, 0));
    show("its length", getxattr("file", "user.longer", back, sizeof back));
    check("it is the same", memcmp(large, back, 2300) == 0);
    show("removed", removexattr("file", "user.longer"));
    show("removed twice", removexattr("file", "user.longer"));
    show("removed, by descriptor", fremovexattr(file, "user.empty"));
    list("what is left", listxattr("file", names, sizeof names), names);

    show("too long", setxattr("file", "user.large", large, too_much, 0));
    show("no name", setxattr("file", "", "x", 1, 0));
    show("half a name", setxattr("file", "user.", "x", 1, 0));
    show("an unknown kind", setxattr("file", "colour", "x", 1, 0));
    show("an unknown kind's", getxattr("file", "other.colour", value, sizeof value));
    memset(names, 'n', 300);
    memcpy(names, "user.", 5);
    names[300] = 0;
    show("a name too long", setxattr("file", names, "x", 1, 0));
    show("no such file", getxattr("absent", "user.colour", value, sizeof value));
    show("no descriptor", fgetxattr(-1, "user.colour", value, sizeof value));
    show("only a place", fgetxattr(open("file", O_PATH), "user.colour", value, sizeof value));
    show("a bad name", getxattr("file", nowhere, value, sizeof value));
    show("a bad value", setxattr("file", "user.bad", nowhere, 5, 0));

    // The attributes are the file's, not the name's.
    rename("file", "moved");
    show("after a move", getxattr("moved", "user.colour", value, sizeof value));
    close(open("file", O_RDWR | O_CREAT, 0644));
    show("of a new file of the old name", getxattr("file", "user.colour", value, sizeof value));
    // Who may not read the file may not read them.
    chmod("moved", 0200);
    chmod(".", 0755);
    if (seteuid(65534) == 0) {
        show("of an unreadable file", getxattr("moved", "user.colour", value, sizeof value));
        show("of an unwritable file", setxattr("file", "user.colour", "red", 3, 0));
    }
    return 0;
}
