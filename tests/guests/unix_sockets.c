// Unix sockets within one process: pairs, names, connections, messages, readiness, and all the ways in which they fail.
#include "story.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/un.h>

static char buffer[300000];

// Abstract names are one host's: the process's number behind them keeps two runs at once apart.
enum { NUMBER = 8 };

static socklen_t named(struct sockaddr_un *address, const char *name) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    size_t length = strlen(name);
    memcpy(address->sun_path, name, length);
    if (name[0] == '@') {
        length += (size_t)sprintf(address->sun_path + length, "%0*x", NUMBER, (unsigned)getpid());
        address->sun_path[0] = 0;
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '@' ? 0 : 1));
}

static void tell_name(const char *what, struct sockaddr_un *address, socklen_t length) {
    int is_abstract = length > 2 && address->sun_path[0] == 0;
    int shown = length > 3 ? (int)(length - 3) : 0;
    if (is_abstract && shown > NUMBER)
        shown -= NUMBER;
    printf("%s: family %d length %d name %s%.*s\n", what, length >= 2 ? address->sun_family : -1, (int)length, is_abstract ? "@" : "", shown,
           address->sun_path[0] ? address->sun_path : address->sun_path + 1);
}

static void readiness(const char *what, int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    poll(&entry, 1, 0);
    printf("%s: %s%s%s%s%s\n", what, entry.revents & POLLIN ? "in " : "", entry.revents & POLLOUT ? "out " : "",
           entry.revents & POLLERR ? "err " : "", entry.revents & POLLHUP ? "hup " : "",
           entry.revents & POLLRDHUP ? "rdhup " : "");
}

static int number(int fd, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, option, &value, &length) != 0)
        return -errno;
    return value;
}

static void bad_arguments(void) {
    puts("# bad arguments");
    int ends[2];
    show("unknown family", socket(77, SOCK_STREAM, 0));
    show("unknown kind", socket(AF_UNIX, 9, 0));
    show("kind beyond all", socket(AF_UNIX, 14, 0));
    show("unknown protocol", socket(AF_UNIX, SOCK_STREAM, 5));
    show("unknown flag", socket(AF_UNIX, SOCK_STREAM | 0x100, 0));
    show("pair of another family", socketpair(AF_INET, SOCK_STREAM, 0, ends));
    show("pair at a bad address", (int)syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 8));
    int file = open("/dev/null", O_RDWR);
    show("no socket", listen(file, 1));
    show("no descriptor", listen(999, 1));
    show("send to no socket", send(file, "x", 1, 0));
    close(file);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address;
    socklen_t length = named(&address, "@nobody");
    show("listen without a name", listen(fd, 1));
    show("accept without listening", accept(fd, NULL, NULL));
    show("send without a peer", send(fd, "x", 1, MSG_NOSIGNAL));
    show("receive without a peer", recv(fd, buffer, 1, 0));
    show("peer of nobody", getpeername(fd, (void *)&address, &length));
    length = named(&address, "@nobody");
    show("connect to nobody", connect(fd, (void *)&address, length));
    length = named(&address, "/nowhere/at/all");
    show("connect to no file", connect(fd, (void *)&address, length));
    length = named(&address, "/dev/null");
    show("connect to a file that is no socket", connect(fd, (void *)&address, length));
    address.sun_family = AF_INET;
    show("connect with another family", connect(fd, (void *)&address, sizeof address));
    show("bind with another family", bind(fd, (void *)&address, sizeof address));
    show("bind too short", bind(fd, (void *)&address, 1));
    show("bind too long", bind(fd, (void *)&address, 120));
    show("bind to a directory that is not there", bind(fd, (void *)&address, named(&address, "/nowhere/at/all")));
    show("shutdown how", shutdown(fd, 3));
    show("shutdown without a peer", shutdown(fd, SHUT_RD));
    readiness("new", fd);
    show("unknown option", setsockopt(fd, SOL_SOCKET, 999, &(int){1}, 4));
    show("option of another level", setsockopt(fd, 6, 1, &(int){1}, 4));
    show("option too short", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, 1));
    show("option of unknown level", getsockopt(fd, 6, 1, buffer, &length));
    close(fd);
}

static void pairs(void) {
    puts("# pairs");
    int ends[2];
    show("pair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    show("close on exec", fcntl(ends[0], F_GETFD));
    printf("type %d domain %d protocol %d listens %d error %d\n", number(ends[0], SO_TYPE), number(ends[0], SO_DOMAIN),
           number(ends[0], SO_PROTOCOL), number(ends[0], SO_ACCEPTCONN), number(ends[0], SO_ERROR));
    struct stat status;
    fstat(ends[0], &status);
    printf("mode %o\n", status.st_mode);
    struct statfs system;
    fstatfs(ends[0], &system);
    printf("file system %lx\n", (long)system.f_type);
    char link[64], path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    ssize_t count = readlink(path, link, sizeof link);
    printf("link %.*s\n", count > 8 ? 8 : (int)count, link);
    show("open it by that link", open(path, O_RDWR));
    show("seek", lseek(ends[0], 0, SEEK_SET));
    readiness("pair", ends[0]);
    show("send", send(ends[0], "hello", 5, 0));
    show("write", write(ends[0], " world", 6));
    int waiting = 0;
    ioctl(ends[1], FIONREAD, &waiting);
    show("waiting", waiting);
    readiness("with data", ends[1]);
    show("peek", recv(ends[1], buffer, 3, MSG_PEEK));
    show("peek again", recv(ends[1], buffer, 100, MSG_PEEK));
    show("read", read(ends[1], buffer, 8));
    printf("%.8s\n", buffer);
    show("read the rest", recv(ends[1], buffer, 100, 0));
    show("nothing more", recv(ends[1], buffer, 100, MSG_DONTWAIT));
    show("read of nothing", read(ends[1], buffer, 0));
    struct iovec pieces[2] = {{"ab", 2}, {"cde", 3}};
    show("writev", writev(ends[1], pieces, 2));
    char one[2], two[9];
    struct iovec places[2] = {{one, 2}, {two, 9}};
    show("readv", readv(ends[0], places, 2));
    printf("%.2s %.3s\n", one, two);

    show("end sending", shutdown(ends[0], SHUT_WR));
    readiness("who has ended", ends[0]);
    readiness("who hears no more", ends[1]);
    show("the end", read(ends[1], buffer, 10));
    signal(SIGPIPE, SIG_IGN);
    show("send after the end", send(ends[0], "x", 1, 0));
    show("the other way goes on", send(ends[1], "y", 1, 0));
    show("arrives", recv(ends[0], buffer, 10, 0));
    show("end receiving", shutdown(ends[0], SHUT_RD));
    readiness("both ended", ends[0]);
    readiness("peer of both", ends[1]);
    show("send to the deaf", send(ends[1], "y", 1, MSG_NOSIGNAL));
    close(ends[0]);
    show("end again", shutdown(ends[1], SHUT_RDWR));
    close(ends[1]);

    puts("# closing");
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    send(ends[0], "last words", 10, 0);
    close(ends[0]);
    readiness("closed with words", ends[1]);
    show("the words", recv(ends[1], buffer, 100, 0));
    show("the end", recv(ends[1], buffer, 100, 0));
    show("nobody hears", send(ends[1], "x", 1, MSG_NOSIGNAL));
    close(ends[1]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    send(ends[0], "unread", 6, 0);
    close(ends[1]);
    readiness("closed without reading", ends[0]);
    show("its error", number(ends[0], SO_ERROR));
    show("told once", number(ends[0], SO_ERROR));
    show("then the end", recv(ends[0], buffer, 10, 0));
    close(ends[0]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    send(ends[0], "unread", 6, 0);
    close(ends[1]);
    show("receive after a reset", recv(ends[0], buffer, 10, 0));
    show("and the end", recv(ends[0], buffer, 10, 0));
    close(ends[0]);
}

static void *accept_one(void *argument) {
    int fd = accept(*(int *)argument, NULL, NULL);
    char text[16] = {0};
    (void)!read(fd, text, sizeof text);
    (void)!write(fd, text, strlen(text));
    close(fd);
    return NULL;
}

static void connections(const char *name, int kind) {
    printf("# connections to %s\n", name[0] == '@' ? "an abstract name" : "a file");
    struct sockaddr_un address, other;
    socklen_t length = named(&address, name), other_length = sizeof other;
    int listener = socket(AF_UNIX, kind | SOCK_NONBLOCK, 0);
    show("bind", bind(listener, (void *)&address, length));
    show("bind again", bind(listener, (void *)&address, length));
    int second = socket(AF_UNIX, kind, 0);
    show("bind another", bind(second, (void *)&address, length));
    show("connect before it listens", connect(second, (void *)&address, length));
    show("listen", listen(listener, 1));
    show("it listens", number(listener, SO_ACCEPTCONN));
    readiness("listener", listener);
    show("nobody to accept", accept(listener, NULL, NULL));
    show("connect", connect(second, (void *)&address, length));
    show("connect again", connect(second, (void *)&address, length));
    readiness("listener with one", listener);
    show("peer name", getpeername(second, (void *)&other, &other_length));
    tell_name("peer", &other, other_length);
    other_length = sizeof other;
    getsockname(second, (void *)&other, &other_length);
    tell_name("own", &other, other_length);
    show("send before accept", send(second, "early", 5, 0));
    other_length = sizeof other;
    int accepted = accept4(listener, (void *)&other, &other_length, SOCK_CLOEXEC);
    works("accept", accepted);
    tell_name("accepted from", &other, other_length);
    show("flags", fcntl(accepted, F_GETFD) + (fcntl(accepted, F_GETFL) & O_NONBLOCK));
    show("early words", recv(accepted, buffer, 100, 0));
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    getsockopt(second, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
    check("who listens", credentials.pid == getpid() && credentials.uid == getuid() && credentials.gid == getgid());
    other_length = 4;
    getsockname(accepted, (void *)&other, &other_length);
    check("the whole length is told", other_length == length);
    int wrong = socket(AF_UNIX, kind == SOCK_STREAM ? SOCK_SEQPACKET : SOCK_STREAM, 0);
    show("connect with another kind", connect(wrong, (void *)&address, length));
    close(wrong);

    puts("a backlog of one holds two");
    int clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = socket(AF_UNIX, kind | SOCK_NONBLOCK, 0);
        show("connect", connect(clients[i], (void *)&address, length));
    }
    for (int i = 0; i < 3; i++)
        close(clients[i]);
    for (int i = 0; i < 2; i++) {
        int gone = accept(listener, NULL, NULL);
        works("accept", gone);
        show("it has gone already", recv(gone, buffer, 1, 0));
        close(gone);
    }
    fcntl(listener, F_SETFL, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, accept_one, &listener);
    int client = socket(AF_UNIX, kind, 0);
    show("connect", connect(client, (void *)&address, length));
    show("ask", send(client, "echo", 4, 0));
    show("hear", recv(client, buffer, 100, 0));
    pthread_join(thread, NULL);
    show("end", recv(client, buffer, 100, 0));
    close(client);
    int waiting = socket(AF_UNIX, kind, 0);
    show("connect", connect(waiting, (void *)&address, length));
    close(listener);
    show("the listener has gone", recv(waiting, buffer, 1, 0));
    close(waiting);
    show("connect to the closed", connect(socket(AF_UNIX, kind, 0), (void *)&address, length));
    if (name[0] != '@') {
        struct stat status;
        show("stat", stat(name, &status));
        printf("mode %o\n", status.st_mode & ~022);
        show("open", open(name, O_RDWR));
        show("bind to what is there", bind(wrong = socket(AF_UNIX, kind, 0), (void *)&address, length));
        show("unlink", unlink(name));
        show("bind", bind(wrong, (void *)&address, length));
        unlink(name);
    }
    close(accepted);
    close(second);
}

static void datagrams(void) {
    puts("# datagrams");
    struct sockaddr_un address, from;
    socklen_t length = named(&address, "@letters"), from_length = sizeof from;
    int receiver = socket(AF_UNIX, SOCK_DGRAM, 0), sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    show("bind", bind(receiver, (void *)&address, length));
    show("listen", listen(receiver, 1));
    show("send without a place", send(sender, "x", 1, 0));
    show("send", sendto(sender, "letter", 6, 0, (void *)&address, length));
    show("send an empty one", sendto(sender, "", 0, 0, (void *)&address, length));
    show("receive", recvfrom(receiver, buffer, 3, MSG_TRUNC | MSG_PEEK, (void *)&from, &from_length));
    show("from nobody", from_length);
    show("receive", recv(receiver, buffer, 3, 0));
    show("the rest is lost", recv(receiver, buffer, 100, 0));
    show("nothing", recv(receiver, buffer, 100, MSG_DONTWAIT));
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    show("any name", bind(sender, (void *)&own, sizeof(sa_family_t)));
    from_length = sizeof from;
    getsockname(sender, (void *)&from, &from_length);
    check("five digits", from_length == 8 && from.sun_path[0] == 0);
    show("connect", connect(sender, (void *)&address, length));
    show("send", send(sender, "to a friend", 11, 0));
    from_length = sizeof from;
    show("receive", recvfrom(receiver, buffer, 100, 0, (void *)&from, &from_length));
    show("answer", sendto(receiver, "thanks", 6, 0, (void *)&from, from_length));
    show("receive", recv(sender, buffer, 100, 0));
    int stranger = socket(AF_UNIX, SOCK_DGRAM, 0);
    show("a stranger", sendto(stranger, "x", 1, 0, (void *)&from, from_length));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    show("disconnect", connect(sender, &none, sizeof none));
    show("a stranger", sendto(stranger, "x", 1, 0, (void *)&from, from_length));
    show("send", send(sender, "x", 1, 0));
    connect(sender, (void *)&address, length);
    show("too long", send(sender, buffer, 1 << 24 > (int)sizeof buffer ? sizeof buffer : 0, 0));
    close(receiver);
    show("the receiver has gone", send(sender, "x", 1, 0));
    show("and is forgotten", send(sender, "x", 1, 0));
    close(sender);
    close(stranger);
    int ends[2];
    show("pair", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
    show("send", send(ends[0], "first", 5, 0));
    show("send", send(ends[0], "second", 6, 0));
    struct iovec piece = {buffer, 2};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    show("receive a part", recvmsg(ends[1], &message, 0));
    check("it is told", message.msg_flags & MSG_TRUNC);
    show("receive", recv(ends[1], buffer, 100, 0));
    close(ends[0]);
    show("the end", recv(ends[1], buffer, 100, 0));
    show("nobody hears, and no signal comes", write(ends[1], "x", 1));
    close(ends[1]);
}

static void *fill(void *argument) {
    long total = 0;
    while (total < 4000000) {
        ssize_t count = write(*(int *)argument, buffer, sizeof buffer);
        if (count <= 0)
            break;
        total += count;
    }
    close(*(int *)argument);
    return (void *)total;
}

static void *later(void *argument) {
    usleep(30000);
    (void)!write(*(int *)argument, "rest", 4);
    return NULL;
}

static void waiting(void) {
    puts("# waiting");
    int ends[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    pthread_t thread;
    pthread_create(&thread, NULL, fill, &ends[0]);
    long total = 0;
    char part[10000];
    for (ssize_t count; (count = read(ends[1], part, sizeof part)) > 0;)
        total += count;
    void *sent;
    pthread_join(thread, &sent);
    check("all arrived", total == (long)sent && total >= 4000000);
    close(ends[1]);

    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    struct timeval patience = {.tv_usec = 20000}, told;
    socklen_t length = sizeof told;
    show("patience", setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
    show("impossible patience",
         setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 2000000}, sizeof patience));
    getsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &told, &length);
    printf("patience %ld %d\n", (long)told.tv_sec, (int)told.tv_usec >= 20000);
    struct timespec start = now(CLOCK_MONOTONIC);
    show("receive", recv(ends[0], buffer, 1, 0));
    show("read", read(ends[0], buffer, 1));
    check("waited", seconds_between(start, now(CLOCK_MONOTONIC)) >= 0.039);
    pthread_create(&thread, NULL, later, &ends[1]);
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0}, sizeof patience);
    send(ends[1], "first ", 6, 0);
    show("wait for all", recv(ends[0], buffer, 10, MSG_WAITALL));
    printf("%.10s\n", buffer);
    pthread_join(thread, NULL);

    puts("# edges");
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET};
    epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
    show("nothing", epoll_wait(epoll, &event, 1, 0));
    send(ends[1], "ab", 2, 0);
    show("something", epoll_wait(epoll, &event, 1, 0));
    show("not twice", epoll_wait(epoll, &event, 1, 0));
    recv(ends[0], buffer, 1, 0);
    show("not for reading", epoll_wait(epoll, &event, 1, 0));
    send(ends[1], "c", 1, 0);
    show("something new", epoll_wait(epoll, &event, 1, 0));
    shutdown(ends[1], SHUT_WR);
    show("the end", epoll_wait(epoll, &event, 1, 0));
    check("is told", event.events & EPOLLRDHUP && !(event.events & EPOLLHUP));
    close(epoll);

    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    long room = 0;
    for (ssize_t count; (count = send(ends[0], buffer, 4096, 0)) > 0;)
        room += count;
    check("it becomes full", errno == EAGAIN && room >= 100000 && room <= 1000000);
    readiness("full", ends[0]);
    show("send", send(ends[0], buffer, 1, 0));
    while (recv(ends[1], buffer, sizeof buffer, MSG_DONTWAIT) > 0)
        ;
    readiness("empty", ends[0]);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    show("select", select(ends[0] + 1, NULL, &set, NULL, &(struct timeval){0}));
    close(ends[0]);
    close(ends[1]);
}

static void options(void) {
    puts("# options");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int flags[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_PASSCRED};
    for (int i = 0; i < 4; i++) {
        show("before", number(fd, flags[i]));
        show("set", setsockopt(fd, SOL_SOCKET, flags[i], &(int){7}, 4));
        show("after", number(fd, flags[i]));
    }
    show("set a buffer", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){20000}, 4));
    show("it counts twice", number(fd, SO_SNDBUF));
    show("a small one", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1}, 4));
    show("is larger", number(fd, SO_RCVBUF));
    struct linger linger = {1, 5};
    show("linger", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    show("type cannot be set", setsockopt(fd, SOL_SOCKET, SO_TYPE, &(int){1}, 4));
    socklen_t length = 2;
    unsigned char bytes[4] = {9, 9, 9, 9};
    show("half of one", getsockopt(fd, SOL_SOCKET, SO_TYPE, bytes, &length));
    printf("%d %d %d, %d\n", bytes[0], bytes[1], bytes[2], length);
    length = -1;
    show("less than nothing", getsockopt(fd, SOL_SOCKET, SO_TYPE, bytes, &length));
    close(fd);
}

int main(void) {
    enter_story_directory();
    bad_arguments();
    pairs();
    connections("@a name", SOCK_STREAM);
    connections("a socket", SOCK_STREAM);
    connections("@messages", SOCK_SEQPACKET);
    datagrams();
    waiting();
    options();
    return 0;
}
