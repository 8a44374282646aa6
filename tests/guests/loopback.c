// TCP and UDP over loopback, IPv4 and IPv6, within one process; and everything beyond loopback, which is not reachable.
#include "story.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static char buffer[1 << 20];

static struct sockaddr_in v4(const char *ip, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &address.sin_addr);
    return address;
}

static struct sockaddr_in6 v6(const char *ip, int port) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    inet_pton(AF_INET6, ip, &address.sin6_addr);
    return address;
}

static int port_of(int fd) {
    struct sockaddr_in6 address;
    socklen_t length = sizeof address;
    getsockname(fd, (void *)&address, &length);
    return ntohs(address.sin6_port);
}

// The address of a socket or its peer, with the port only if it is 0.
static void tell(const char *what, int fd, int of_peer) {
    union {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t length = sizeof address;
    int result = of_peer ? getpeername(fd, (void *)&address, &length) : getsockname(fd, (void *)&address, &length);
    if (result != 0) {
        printf("%s: %s\n", what, strerrorname_np(errno));
        return;
    }
    char text[64];
    int is_v6 = address.v6.sin6_family == AF_INET6;
    inet_ntop(address.v6.sin6_family, is_v6 ? (void *)&address.v6.sin6_addr : (void *)&address.v4.sin_addr, text, sizeof text);
    printf("%s: %s, %s, %d\n", what, text, address.v4.sin_port ? "a port" : "no port", (int)length);
}

static void readiness(const char *what, int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    poll(&entry, 1, 0);
    printf("%s: %s%s%s%s%s\n", what, entry.revents & POLLIN ? "in " : "", entry.revents & POLLOUT ? "out " : "",
           entry.revents & POLLERR ? "err " : "", entry.revents & POLLHUP ? "hup " : "",
           entry.revents & POLLRDHUP ? "rdhup " : "");
}

static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, level, name, &value, &length) ? -errno : value;
}

#define CONNECT(fd, address) connect(fd, (void *)&address, sizeof address)
#define BIND(fd, address) bind(fd, (void *)&address, sizeof address)

// A connection over 127.0.0.1.
static void join(int *ends) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    listen(listener, 5);
    struct sockaddr_in there = v4("127.0.0.1", port_of(listener));
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (CONNECT(ends[0], there) != 0)
        perror("connect");
    ends[1] = accept(listener, NULL, NULL);
    close(listener);
}

static void names_and_ports(void) {
    puts("# names and ports");
    int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
    printf("type %d domain %d protocol %d\n", option(fd, SOL_SOCKET, SO_TYPE), option(fd, SOL_SOCKET, SO_DOMAIN),
           option(fd, SOL_SOCKET, SO_PROTOCOL));
    tell("new", fd, 0);
    tell("no peer", fd, 1);
    readiness("new", fd);
    struct sockaddr_in any = v4("0.0.0.0", 0), foreign = v4("192.0.2.7", 0), far = v4("192.0.2.7", 80);
    show("bind elsewhere", BIND(fd, foreign));
    show("bind too short", bind(fd, (void *)&any, 8));
    any.sin_family = AF_INET6;
    show("bind another family", BIND(fd, any));
    any.sin_family = AF_INET;
    show("bind", BIND(fd, any));
    tell("bound", fd, 0);
    show("bind again", BIND(fd, any));
    struct sockaddr_in same = v4("127.0.0.1", port_of(fd));
    show("the same port", BIND(other, same));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, 4);
    setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &(int){1}, 4);
    show("connect to who does not listen", CONNECT(other, same));
    close(other);
    other = socket(AF_INET, SOCK_STREAM, 0);
    show("listen", listen(fd, 5));
    setsockopt(other, SOL_SOCKET, SO_REUSEADDR, &(int){1}, 4);
    show("the port of a listener", BIND(other, same));
    close(fd);
    show("a free port", BIND(other, same));
    close(other);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    other = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, 4);
    setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &(int){1}, 4);
    BIND(fd, any);
    same = v4("0.0.0.0", port_of(fd));
    show("shared", BIND(other, same));
    show("both listen", listen(fd, 1) | listen(other, 1));
    close(fd);
    close(other);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timespec start = now(CLOCK_MONOTONIC);
    setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &(int){1}, 4);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    int result = CONNECT(fd, far);
    check("nothing answers from afar", result == -1 && seconds_between(start, now(CLOCK_MONOTONIC)) < 5);
    close(fd);
    show("raw", socket(AF_INET, SOCK_SEQPACKET, 0));
    show("unknown protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
}

static void streams(void) {
    puts("# a connection");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = v4("127.0.0.1", 0), from;
    show("bind", BIND(listener, address));
    address = v4("127.0.0.1", port_of(listener));
    int client = socket(AF_INET, SOCK_STREAM, 0);
    show("nobody listens", CONNECT(client, address));
    show("accept without listening", accept(listener, NULL, NULL));
    show("listen", listen(listener, 5));
    show("listens", option(listener, SOL_SOCKET, SO_ACCEPTCONN));
    show("nobody to accept", accept(listener, NULL, NULL));
    readiness("listener", listener);
    show("connect", CONNECT(client, address));
    show("connect again", CONNECT(client, address));
    readiness("listener with one", listener);
    tell("own", client, 0);
    tell("peer", client, 1);
    socklen_t length = sizeof from;
    int server = accept(listener, (void *)&from, &length);
    works("accept", server);
    check("from the client's port", ntohs(from.sin_port) == port_of(client) && length == sizeof from);
    tell("accepted", server, 0);
    show("blocks", fcntl(server, F_GETFL) & O_NONBLOCK);
    show("listen when connected", listen(client, 5));
    show("send", send(client, "question", 8, 0));
    show("peek", recv(server, buffer, 100, MSG_PEEK));
    length = sizeof from;
    show("receive", recvfrom(server, buffer, 4, 0, (void *)&from, &length));
    show("without a name", length);
    int waiting;
    ioctl(server, FIONREAD, &waiting);
    show("waiting", waiting);
    recv(server, buffer, 100, 0);
    show("an address makes no difference", sendto(server, "answer", 6, 0, (void *)&address, sizeof address));
    show("receive", recv(client, buffer, 100, 0));
    show("no delay", setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, 4));
    show("no delay", option(client, IPPROTO_TCP, TCP_NODELAY));
    show("keep alive", setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &(int){60}, 4));
    show("keep alive", option(client, IPPROTO_TCP, TCP_KEEPIDLE));
    show("keep alive never", setsockopt(client, IPPROTO_TCP, TCP_KEEPIDLE, &(int){0}, 4));
    show("unknown", setsockopt(client, IPPROTO_TCP, 250, &(int){0}, 4));

    puts("# half closed");
    show("end sending", shutdown(client, SHUT_WR));
    readiness("client", client);
    readiness("server", server);
    show("the end", recv(server, buffer, 10, 0));
    show("send after the end", send(client, "x", 1, MSG_NOSIGNAL));
    show("the other way", send(server, "still", 5, 0));
    show("arrives", recv(client, buffer, 10, 0));
    close(server);
    readiness("both ended", client);
    show("the end", recv(client, buffer, 10, 0));
    close(client);
    close(listener);

    puts("# closed by the other");
    int ends[2];
    join(ends);
    send(ends[0], "words", 5, 0);
    recv(ends[1], buffer, 10, 0);
    close(ends[1]);
    readiness("closed", ends[0]);
    show("the end", recv(ends[0], buffer, 10, 0));
    show("the first goes nowhere", send(ends[0], "x", 1, MSG_NOSIGNAL));
    readiness("nobody there", ends[0]);
    show("the second does not go", send(ends[0], "x", 1, MSG_NOSIGNAL));
    show("the end", recv(ends[0], buffer, 10, 0));
    tell("peer", ends[0], 0);
    close(ends[0]);

    puts("# reset");
    join(ends);
    send(ends[0], "unread", 6, 0);
    poll(&(struct pollfd){.fd = ends[1], .events = POLLIN}, 1, 1000);
    close(ends[1]);
    readiness("reset", ends[0]);
    show("receive", recv(ends[0], buffer, 10, 0));
    show("receive", recv(ends[0], buffer, 10, 0));
    show("send", send(ends[0], "x", 1, MSG_NOSIGNAL));
    close(ends[0]);
    join(ends);
    struct linger linger = {1, 0};
    setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(ends[1]);
    show("its error", option(ends[0], SOL_SOCKET, SO_ERROR));
    show("told once", option(ends[0], SOL_SOCKET, SO_ERROR));
    close(ends[0]);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    show("send without a peer", send(fd, "x", 1, MSG_NOSIGNAL));
    show("receive without a peer", recv(fd, buffer, 1, 0));
    show("shutdown without a peer", shutdown(fd, SHUT_RDWR));
    close(fd);
}

static void not_waiting(void) {
    puts("# connecting without waiting");
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    listen(listener, 1);
    struct sockaddr_in address = v4("127.0.0.1", port_of(listener));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    show("connect", CONNECT(fd, address));
    struct pollfd entry = {.fd = fd, .events = POLLOUT};
    show("poll", poll(&entry, 1, 1000));
    show("its error", option(fd, SOL_SOCKET, SO_ERROR));
    show("connect", CONNECT(fd, address));
    show("connect", CONNECT(fd, address));
    show("nothing to read", recv(fd, buffer, 1, 0));
    close(fd);
    close(listener);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    show("connect to nobody", CONNECT(fd, address));
    entry.fd = fd;
    show("poll", poll(&entry, 1, 1000));
    readiness("refused", fd);
    show("its error", option(fd, SOL_SOCKET, SO_ERROR));
    close(fd);
}

static void *pour(void *argument) {
    long total = 0;
    while (total < 8 << 20) {
        ssize_t count = send(*(int *)argument, buffer, 200000, 0);
        if (count <= 0)
            break;
        total += count;
    }
    shutdown(*(int *)argument, SHUT_WR);
    return (void *)total;
}

static void much(void) {
    puts("# much");
    for (size_t i = 0; i < sizeof buffer; i++)
        buffer[i] = (char)(i * 7 % 251);
    int ends[2];
    join(ends);
    pthread_t thread;
    pthread_create(&thread, NULL, pour, &ends[0]);
    static char part[70000];
    long total = 0, wrong = 0;
    for (ssize_t count; (count = recv(ends[1], part, sizeof part, 0)) > 0; total += count)
        for (ssize_t i = 0; i < count; i += 997)
            wrong += part[i] != buffer[(total + i) % 200000];
    void *sent;
    pthread_join(thread, &sent);
    check("all of it arrived as it was", total == (long)sent && total >= 8 << 20 && wrong == 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    show("after the end", send(ends[0], "x", 1, MSG_NOSIGNAL));
    close(ends[0]);
    close(ends[1]);
    join(ends);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    long room = 0;
    for (ssize_t count; (count = send(ends[0], buffer, sizeof buffer, 0)) > 0;)
        room += count;
    check("it becomes full", errno == EAGAIN && room > 100000);
    readiness("full", ends[0]);
    for (long left = room; left > 0;)
        left -= recv(ends[1], buffer, sizeof buffer, 0);
    poll(&(struct pollfd){.fd = ends[0], .events = POLLOUT}, 1, 1000);
    readiness("empty", ends[0]);
    close(ends[0]);
    close(ends[1]);
}

static void datagrams(void) {
    puts("# UDP");
    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = v4("127.0.0.1", 0), from;
    printf("protocol %d\n", option(receiver, SOL_SOCKET, SO_PROTOCOL));
    show("listen", listen(receiver, 1));
    show("bind", BIND(receiver, address));
    address = v4("127.0.0.1", port_of(receiver));
    show("send without a place", send(sender, "x", 1, 0));
    int unused = socket(AF_INET, SOCK_DGRAM, 0);
    show("shutdown without a peer", shutdown(unused, SHUT_RD));
    readiness("shut down all the same", unused);
    close(unused);
    show("send", sendto(sender, "letter", 6, 0, (void *)&address, sizeof address));
    tell("the sender got a port", sender, 0);
    show("send an empty one", sendto(sender, "", 0, 0, (void *)&address, sizeof address));
    socklen_t length = sizeof from;
    show("how long it is", recvfrom(receiver, buffer, 2, MSG_PEEK | MSG_TRUNC, (void *)&from, &length));
    check("from the sender", ntohs(from.sin_port) == port_of(sender) && from.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    show("receive a part", recv(receiver, buffer, 3, 0));
    show("an empty one", recv(receiver, buffer, 3, 0));
    show("nothing", recv(receiver, buffer, 3, MSG_DONTWAIT));
    show("too long", sendto(sender, buffer, 65508, 0, (void *)&address, sizeof address));
    show("the longest", sendto(sender, buffer, 65507, 0, (void *)&address, sizeof address));
    show("receive", recv(receiver, buffer, sizeof buffer, 0));
    show("connect", CONNECT(sender, address));
    tell("own", sender, 0);
    tell("peer", sender, 1);
    show("send", send(sender, "x", 1, 0));
    recv(receiver, buffer, 10, 0);
    int stranger = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in friend = v4("127.0.0.1", port_of(sender));
    show("a stranger", sendto(stranger, "x", 1, 0, (void *)&friend, sizeof friend));
    show("is not heard", recv(sender, buffer, 10, MSG_DONTWAIT));
    close(receiver);
    show("send to nobody", send(sender, "x", 1, 0));
    readiness("refused", sender);
    show("told", send(sender, "x", 1, 0));
    show("not told again", recv(sender, buffer, 1, MSG_DONTWAIT));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    show("disconnect", connect(sender, &none, sizeof none));
    show("no peer", send(sender, "x", 1, 0));
    show("to nobody without a peer", sendto(sender, "x", 1, 0, (void *)&address, sizeof address));
    show("is not told", recv(sender, buffer, 1, MSG_DONTWAIT));
    address.sin_port = 0;
    show("no port", sendto(sender, "x", 1, 0, (void *)&address, sizeof address));
    close(sender);
    close(stranger);
}

static void version_6(void) {
    puts("# IPv6");
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    if (listener < 0) {
        puts("there is none");
        return;
    }
    struct sockaddr_in6 any = v6("::", 0);
    show("only IPv6", option(listener, IPPROTO_IPV6, IPV6_V6ONLY));
    show("both", setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, 4));
    show("bind", BIND(listener, any));
    show("too late", setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4));
    listen(listener, 5);
    tell("listener", listener, 0);
    int port = port_of(listener);
    struct sockaddr_in6 one = v6("::1", port), mapped = v6("::ffff:127.0.0.1", port);
    struct sockaddr_in four = v4("127.0.0.1", port);
    int client = socket(AF_INET6, SOCK_STREAM, 0);
    show("connect", CONNECT(client, one));
    tell("own", client, 0);
    int server = accept(listener, NULL, NULL);
    tell("accepted from", server, 1);
    close(server);
    close(client);
    client = socket(AF_INET, SOCK_STREAM, 0);
    show("connect over IPv4", CONNECT(client, four));
    server = accept(listener, NULL, NULL);
    tell("accepted from", server, 1);
    tell("accepted at", server, 0);
    close(server);
    close(client);
    client = socket(AF_INET6, SOCK_STREAM, 0);
    show("connect over mapped IPv4", CONNECT(client, mapped));
    tell("own", client, 0);
    close(client);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    show("the port is taken", BIND(other, four));
    close(other);
    other = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(other, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4);
    show("no IPv4", BIND(other, mapped));
    any = v6("::", 0);
    show("bind", BIND(other, any));
    four = v4("127.0.0.1", port_of(other));
    listen(other, 1);
    client = socket(AF_INET, SOCK_STREAM, 0);
    show("IPv4 does not reach it", CONNECT(client, four));
    close(client);
    close(other);
    close(listener);
    int letters = socket(AF_INET6, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    any = v6("::", 0);
    BIND(letters, any);
    four = v4("127.0.0.1", port_of(letters));
    show("send", sendto(sender, "x", 1, 0, (void *)&four, sizeof four));
    struct sockaddr_in6 from;
    socklen_t length = sizeof from;
    show("receive", recvfrom(letters, buffer, 10, 0, (void *)&from, &length));
    char text[64];
    puts(inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text));
    show("answer", sendto(letters, "y", 1, 0, (void *)&from, length));
    show("receive", recv(sender, buffer, 10, 0));
    close(letters);
    close(sender);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    names_and_ports();
    streams();
    not_waiting();
    much();
    datagrams();
    version_6();
    return 0;
}
