// A terminal within one process: both ends, lines and their editing, echo, signals, settings, sizes, and the ends of it.
#include "story.h"
#include <dirent.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

// Linux takes what is typed a moment later.
static void type(const char *bytes) {
    (void)!write(master, bytes, strlen(bytes));
    usleep(20000);
}

// Shows what one reads at `fd`, with control characters made visible.
static void reads(const char *what, int fd) {
    unsigned char bytes[200];
    poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 100);
    ssize_t count = read(fd, bytes, sizeof bytes);
    if (count < 0) {
        printf("%s: %s\n", what, strerrorname_np(errno));
        return;
    }
    printf("%s: '", what);
    for (ssize_t i = 0; i < count; i++)
        printf(bytes[i] < 32 ? "<%d>" : "%c", bytes[i]);
    puts("'");
}

static void readiness(const char *what, int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT};
    poll(&entry, 1, 0);
    printf("%s: %s%s%s%s\n", what, entry.revents & POLLIN ? "in " : "", entry.revents & POLLOUT ? "out " : "",
           entry.revents & POLLHUP ? "hup " : "", entry.revents & POLLERR ? "err " : "");
}

int main(void) {
    puts("# opening");
    master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    works("master", master);
    show("its number", ioctl(master, TIOCGPTN, &(int){0}));
    const char *name = ptsname(master);
    check("its slave's name", name && strncmp(name, "/dev/pts/", 9) == 0);
    char path[64];
    strcpy(path, name);
    show("locked", open(path, O_RDWR | O_NOCTTY));
    show("grant", grantpt(master));
    show("unlock", unlockpt(master));
    slave = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    works("slave", slave);
    show("a terminal", isatty(slave));
    show("and the master", isatty(master));
    char again[64];
    show("name", ttyname_r(slave, again, sizeof again));
    check("the same name", strcmp(again, path) == 0);
    struct stat status;
    fstat(slave, &status);
    printf("mode %o\n", status.st_mode & S_IFMT);
    show("no such slave", open("/dev/pts/4000", O_RDWR));
    DIR *directory = opendir("/dev/pts");
    int found = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        found |= strcmp(entry->d_name, path + 9) == 0;
    closedir(directory);
    check("it is listed", found);

    puts("# lines");
    readiness("master", master);
    readiness("slave", slave);
    reads("nothing typed", slave);
    reads("nothing shown", master);
    type("hellp\177o");
    readiness("half a line", slave);
    type("\r");
    readiness("a line", slave);
    int waiting;
    ioctl(slave, FIONREAD, &waiting);
    show("waiting", waiting);
    reads("line", slave);
    reads("echo", master);
    type("one\ntwo\n");
    reads("first", slave);
    reads("second", slave);
    type("bad words\027\027good\n");
    reads("words", slave);
    type("all wrong\025right\n");
    reads("killed", slave);
    type("end\004");
    reads("no newline", slave);
    type("\004");
    reads("end of file", slave);
    type("\026\003\n");
    reads("literal", slave);
    while (read(master, again, sizeof again) > 0)
        ;
    (void)!write(slave, "a\nb", 3);
    // Linux may pass it on in pieces.
    usleep(50000);
    reads("written", master);

    puts("# settings");
    struct termios settings, raw;
    show("get", tcgetattr(slave, &settings));
    printf("%o %o %o %o\n", settings.c_iflag, settings.c_oflag, settings.c_cflag & CSIZE, settings.c_lflag);
    printf("%d %d %d %d\n", settings.c_cc[VINTR], settings.c_cc[VERASE], settings.c_cc[VEOF], settings.c_cc[VMIN]);
    settings.c_lflag &= ~(tcflag_t)ECHO;
    show("no echo", tcsetattr(slave, TCSANOW, &settings));
    type("secret\n");
    reads("typed", slave);
    reads("not shown", master);
    raw = settings;
    cfmakeraw(&raw);
    show("raw", tcsetattr(slave, TCSAFLUSH, &raw));
    type("a\r\003");
    reads("as it is", slave);
    (void)!write(slave, "a\nb", 3);
    reads("shown as it is", master);
    raw.c_cc[VMIN] = 3;
    tcsetattr(slave, TCSANOW, &raw);
    type("ab");
    type("c");
    reads("three", slave);
    fcntl(slave, F_SETFL, 0);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 1;
    tcsetattr(slave, TCSANOW, &raw);
    struct timespec start = now(CLOCK_MONOTONIC);
    reads("after a tenth of a second", slave);
    check("it waited", seconds_between(start, now(CLOCK_MONOTONIC)) > 0.09);
    fcntl(slave, F_SETFL, O_NONBLOCK);
    type("lost");
    show("flush", tcflush(slave, TCIFLUSH));
    reads("flushed", slave);
    show("drain", tcdrain(slave));
    show("break", tcsendbreak(slave, 0));

    puts("# sizes");
    struct winsize size = {.ws_row = 30, .ws_col = 90};
    show("set", ioctl(master, TIOCSWINSZ, &size));
    memset(&size, 0, sizeof size);
    show("get", ioctl(slave, TIOCGWINSZ, &size));
    printf("%d %d\n", size.ws_row, size.ws_col);

    puts("# the rest");
    show("no foreground group", tcgetpgrp(slave));
    show("unknown", ioctl(slave, 0x5499, 0));
    show("seek", lseek(slave, 0, SEEK_SET));
    int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    works("slave by its master", peer);
    close(peer);

    puts("# closing");
    settings.c_lflag |= ECHO;
    tcsetattr(slave, TCSANOW, &settings);
    type("left\n");
    close(slave);
    readiness("no slave", master);
    reads("the echo", master);
    reads("nobody there", master);
    slave = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    works("again", slave);
    close(master);
    readiness("no master", slave);
    reads("hung up", slave);
    show("write", write(slave, "x", 1));
    show("gone", open(path, O_RDWR));
    close(slave);
    return 0;
}
