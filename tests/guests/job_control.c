// Job control: who is not in the foreground is stopped when it reads, or changes the terminal; what becomes of a session without its
// leader and of groups that nobody could continue; packets.
#include "story.h"
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static int master, slave;
static volatile sig_atomic_t caught;
static void handler(int signal) { caught = signal; }

static void tell_wait(const char *what, pid_t child, int options) {
    int status = 0;
    pid_t found = waitpid(child, &status, options);
    if (found != child)
        show(what, found);
    else if (WIFSTOPPED(status))
        printf("%s: stopped by %d\n", what, WSTOPSIG(status));
    else if (WIFSIGNALED(status))
        printf("%s: killed by %d\n", what, WTERMSIG(status));
    else if (WIFCONTINUED(status))
        printf("%s: goes on\n", what);
    else
        printf("%s: exited with %d\n", what, WEXITSTATUS(status));
    fflush(stdout);
}

// A child in a group of its own, which is not in the foreground.
static pid_t background(int (*work)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        int result = work();
        fflush(stdout);
        _exit(result);
    }
    setpgid(child, child);
    return child;
}

static int reads(void) {
    char byte;
    return read(slave, &byte, 1) == 1 ? byte : 99;
}

static int reads_ignoring(void) {
    signal(SIGTTIN, SIG_IGN);
    char byte;
    show("reads, ignoring SIGTTIN", read(slave, &byte, 1));
    return 0;
}

static int reads_catching(void) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGTTIN, &action, NULL);
    char byte;
    show("reads, catching SIGTTIN", read(slave, &byte, 1));
    show("caught", caught);
    return 0;
}

static int changes(void) {
    struct termios settings;
    show("may ask", tcgetattr(slave, &settings));
    return tcsetattr(slave, TCSANOW, &settings) == 0 ? 3 : 4;
}

static int changes_blocking(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTTOU);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct termios settings;
    tcgetattr(slave, &settings);
    show("changes, blocking SIGTTOU", tcsetattr(slave, TCSANOW, &settings));
    return 0;
}

static int takes_foreground(void) {
    signal(SIGTTOU, SIG_IGN);
    show("takes the foreground, ignoring SIGTTOU", tcsetpgrp(slave, getpgrp()));
    return 0;
}

static int writes(void) { return write(slave, "w", 1) == 1 ? 5 : 6; }

static int orphan_reads(void) {
    // Its child's group is orphaned as soon as it ends.
    int ends[2];
    (void)!pipe(ends);
    if (fork() == 0) {
        char byte;
        close(ends[1]);
        (void)!read(ends[0], &byte, 1);
        usleep(300000);
        show("an orphan reads", read(slave, &byte, 1));
        raise(SIGTSTP);
        puts("an orphan is not stopped");
        fflush(stdout);
        _exit(0);
    }
    return 0;
}

static int with_stopped_child(void) {
    pid_t child = fork();
    if (child == 0) {
        struct sigaction action = {.sa_handler = handler};
        sigaction(SIGHUP, &action, NULL);
        raise(SIGSTOP);
        usleep(300000);
        show("freed when nobody is left, by", caught);
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(child, &status, WUNTRACED);
    return WIFSTOPPED(status) ? 8 : 9;
}

static int leader(void) {
    show("a session", setsid() > 0);
    show("a terminal", ioctl(slave, TIOCSCTTY, 0));
    pid_t child = background(reads);
    tell_wait("a reader", child, WUNTRACED);
    tcsetpgrp(slave, child);
    (void)!write(master, "A\n", 2);
    kill(child, SIGCONT);
    tell_wait("in the foreground", child, WUNTRACED);
    signal(SIGTTOU, SIG_IGN);
    show("back", tcsetpgrp(slave, getpgrp()));
    signal(SIGTTOU, SIG_DFL);

    tell_wait("done", background(reads_ignoring), 0);
    tell_wait("done", background(reads_catching), 0);
    child = background(changes);
    tell_wait("a changer", child, WUNTRACED);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(slave, child);
    kill(child, SIGCONT);
    tell_wait("in the foreground", child, WUNTRACED);
    tcsetpgrp(slave, getpgrp());
    tell_wait("done", background(changes_blocking), 0);
    tell_wait("done", background(takes_foreground), 0);
    tcsetpgrp(slave, getpgrp());
    signal(SIGTTOU, SIG_DFL);

    tell_wait("a writer", background(writes), WUNTRACED);
    struct termios settings;
    tcgetattr(slave, &settings);
    settings.c_lflag |= TOSTOP;
    tcsetattr(slave, TCSANOW, &settings);
    child = background(writes);
    tell_wait("with TOSTOP", child, WUNTRACED);
    kill(child, SIGKILL);
    tell_wait("killed", child, 0);
    tell_wait("an orphan's parent", background(orphan_reads), 0);
    usleep(700000);
    tell_wait("a parent of one that is stopped", background(with_stopped_child), 0);
    usleep(700000);

    signal(SIGHUP, SIG_IGN);
    fflush(stdout);
    if (fork() == 0) {
        struct sigaction action = {.sa_handler = handler};
        sigaction(SIGHUP, &action, NULL);
        int ends[2];
        (void)!pipe(ends);
        struct pollfd nothing = {.fd = ends[0], .events = POLLIN};
        poll(&nothing, 1, 10000);
        usleep(300000);
        show("its leader has ended, told by", caught);
        works("the session's terminal", open("/dev/tty", O_RDWR));
        char byte;
        fcntl(slave, F_SETFL, O_NONBLOCK);
        show("the slave", read(slave, &byte, 1));
        fflush(stdout);
        _exit(0);
    }
    usleep(200000);
    return 0;
}

static void take(const char *what) {
    unsigned char bytes[32];
    struct pollfd one = {.fd = master, .events = POLLIN | POLLPRI};
    poll(&one, 1, 1000);
    ssize_t len = read(master, bytes, sizeof bytes);
    printf("%s (%d):", what, one.revents);
    for (ssize_t i = 0; i < len; i++)
        printf(" %02x", bytes[i]);
    puts(len < 0 ? " nothing" : "");
}

static void packets(void) {
    int on = 1, is_on = 0;
    openpty(&master, &slave, NULL, NULL, NULL);
    fcntl(master, F_SETFL, O_NONBLOCK);
    show("packets", ioctl(master, TIOCPKT, &on));
    show("are they on", ioctl(master, TIOCGPKT, &is_on));
    show("they are", is_on);
    take("at first");
    (void)!write(slave, "hi", 2);
    take("bytes");
    tcflush(slave, TCIFLUSH);
    take("input forgotten");
    tcflush(slave, TCOFLUSH);
    take("output forgotten");
    struct termios settings;
    tcgetattr(slave, &settings);
    settings.c_iflag &= ~(tcflag_t)IXON;
    tcsetattr(slave, TCSANOW, &settings);
    take("no stops");
    settings.c_iflag |= IXON;
    tcsetattr(slave, TCSANOW, &settings);
    take("stops");
    tcflow(slave, TCOOFF);
    take("stopped");
    tcflow(slave, TCOON);
    take("started");
    on = 0;
    ioctl(master, TIOCPKT, &on);
    (void)!write(slave, "hi", 2);
    take("without packets");
    close(master);
    close(slave);
}

int main(void) {
    packets();
    openpty(&master, &slave, NULL, NULL, NULL);
    fflush(stdout);
    int ends[2];
    (void)!pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        int result = leader();
        fflush(stdout);
        _exit(result);
    }
    close(ends[1]);
    tell_wait("the leader", child, 0);
    // Until all that were in the session have ended.
    char byte;
    (void)!read(ends[0], &byte, 1);
    return 0;
}
