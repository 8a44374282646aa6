// setsockopt, getsockopt: values that stay, values that are adjusted, and lengths that are wrong.
#include "../story.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

static int tcp, local[2];

static void option(const char *what, int fd, int level, int name, int value) {
    int back = -1;
    socklen_t len = sizeof back;
    long set = setsockopt(fd, level, name, &value, sizeof value);
    printf("%s: set %s", what, set == 0 ? "works" : strerrorname_np(errno));
    long got = getsockopt(fd, level, name, &back, &len);
    if (got == 0)
        printf(", get %d of %u bytes\n", back, len);
    else
        printf(", get %s\n", strerrorname_np(errno));
}

int main(void) {
    tcp = socket(AF_INET, SOCK_STREAM, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, local);
    option("reuse", tcp, SOL_SOCKET, SO_REUSEADDR, 5);
    option("reuse port", tcp, SOL_SOCKET, SO_REUSEPORT, 1);
    option("keep alive", tcp, SOL_SOCKET, SO_KEEPALIVE, 1);
    option("broadcast", tcp, SOL_SOCKET, SO_BROADCAST, 1);
    option("no delay", tcp, IPPROTO_TCP, TCP_NODELAY, 1);
    option("cork", tcp, IPPROTO_TCP, TCP_CORK, 1);
    option("type", tcp, SOL_SOCKET, SO_TYPE, 1);
    option("error", tcp, SOL_SOCKET, SO_ERROR, 1);
    option("domain", tcp, SOL_SOCKET, SO_DOMAIN, 1);
    option("protocol", tcp, SOL_SOCKET, SO_PROTOCOL, 1);
    option("listening", tcp, SOL_SOCKET, SO_ACCEPTCONN, 1);
    option("unknown", tcp, SOL_SOCKET, 9999, 1);
    option("of TCP for a local socket", local[0], IPPROTO_TCP, TCP_NODELAY, 1);
    option("credentials", local[0], SOL_SOCKET, SO_PASSCRED, 1);
    option("closed", -1, SOL_SOCKET, SO_TYPE, 1);
    option("no socket", 0, SOL_SOCKET, SO_TYPE, 1);
    option("only for version 6", socket(AF_INET6, SOCK_STREAM, 0), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    // The kernel doubles what is asked for, for its own needs.
    option("send buffer", tcp, SOL_SOCKET, SO_SNDBUF, 20000);
    option("receive buffer", tcp, SOL_SOCKET, SO_RCVBUF, 20000);
    option("a small one", tcp, SOL_SOCKET, SO_RCVBUF, 1);

    int value = 1;
    socklen_t len = 2;
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &value, 3));
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, NOWHERE, 4));
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &value, -1));
    value = 0;
    SHOW(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &value, &len));
    printf("%u %d\n", len, value);
    len = 100;
    SHOW(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &value, &len));
    SHOW(len);
    len = (socklen_t)-1;
    SHOW(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &value, &len));
    SHOW(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &value, NOWHERE));
    len = 4;
    SHOW(getsockopt(tcp, SOL_SOCKET, SO_TYPE, NOWHERE, &len));

    struct linger linger = {1, 7}, back = {0};
    len = sizeof back;
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    SHOW(getsockopt(tcp, SOL_SOCKET, SO_LINGER, &back, &len));
    printf("%d %d\n", back.l_onoff, back.l_linger);
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_LINGER, &linger, 4));
    struct timeval patience = {0, 20000}, odd = {0, 1000000};
    SHOW(setsockopt(local[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
    SHOW(setsockopt(local[0], SOL_SOCKET, SO_RCVTIMEO, &odd, sizeof odd));
    SHOW(setsockopt(local[0], SOL_SOCKET, SO_RCVTIMEO, &patience, 4));
    len = sizeof patience;
    SHOW(getsockopt(local[0], SOL_SOCKET, SO_RCVTIMEO, &patience, &len));
    SHOW(patience.tv_usec);
    char byte;
    struct timespec start = now(CLOCK_MONOTONIC);
    SHOW(recv(local[0], &byte, 1, 0));
    CHECK(seconds_between(start, now(CLOCK_MONOTONIC)) >= 0.015);
    struct ucred peer;
    len = sizeof peer;
    SHOW(getsockopt(local[0], SOL_SOCKET, SO_PEERCRED, &peer, &len));
    CHECK(peer.pid == getpid() && peer.uid == getuid() && peer.gid == getgid());
    return 0;
}
