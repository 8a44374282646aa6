// The standard streams are pipes or files here: no terminal, whatever one asks.
#include "story.h"
#include <sys/ioctl.h>
#include <termios.h>

int main(void) {
    for (int i = 0; i < 3; i++) {
        errno = 0;
        printf("%d: terminal %d, %s\n", i, isatty(i), strerrorname_np(errno));
    }
    struct termios settings;
    show("settings", tcgetattr(1, &settings));
    struct winsize size;
    show("size", ioctl(1, TIOCGWINSZ, &size));
    show("name", ttyname(1) ? 0 : -1);
    show("an unknown question", ioctl(1, 0x1234));
    show("of a closed one", ioctl(77, TCGETS, &settings));
    printf("controlling terminal is called %s\n", ctermid(NULL));
    struct stat status;
    fstat(1, &status);
    printf("standard output is a %s\n", S_ISFIFO(status.st_mode) ? "pipe" : S_ISREG(status.st_mode) ? "file" : "something else");
    show("it cannot be positioned", lseek(1, 0, SEEK_CUR));
    show("nor mapped", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 1, 0) == MAP_FAILED);
    return 0;
}
