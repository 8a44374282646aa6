// Urgent bytes of TCP, and what headers of UDP messages say, as control messages.
#include "story.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>

static int ends[2];

static void connect_both(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    bind(listener, (void *)&here, len);
    listen(listener, 1);
    getsockname(listener, (void *)&here, &len);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(ends[0], (void *)&here, len);
    ends[1] = accept(listener, NULL, NULL);
    int one = 1;
    setsockopt(ends[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
}

static int events(int wanted) {
    struct pollfd one = {.fd = ends[1], .events = POLLIN | POLLPRI};
    poll(&one, 1, wanted ? 10000 : 100);
    return one.revents;
}

static void take(const char *what, int flags) {
    char bytes[64] = {0};
    ssize_t len = recv(ends[1], bytes, sizeof bytes - 1, flags | MSG_DONTWAIT);
    if (len < 0)
        show(what, len);
    else
        printf("%s: %zd \"%s\"\n", what, len, bytes);
}

static int at_mark(void) {
    int is = -1;
    ioctl(ends[1], SIOCATMARK, &is);
    return is;
}

static void settle(void) { usleep(50000); }

static void urgent(void) {
    connect_both();
    take("nothing urgent", MSG_OOB);
    show("send urgently", send(ends[0], "abc", 3, MSG_OOB));
    settle();
    show("events", events(1));
    fd_set exceptional;
    FD_ZERO(&exceptional);
    FD_SET(ends[1], &exceptional);
    struct timeval none = {0};
    show("select says so", select(ends[1] + 1, NULL, NULL, &exceptional, &none));
    show("at the mark", at_mark());
    take("look at it", MSG_OOB | MSG_PEEK);
    take("take it", MSG_OOB);
    take("it is gone", MSG_OOB);
    take("the bytes before", 0);
    show("at the mark then", at_mark());
    show("no more events", events(0));
    take("nothing is left", 0);
    send(ends[0], "def", 3, 0);
    settle();
    show("not at the mark", at_mark());
    take("what follows", 0);

    send(ends[0], "12", 2, MSG_OOB);
    send(ends[0], "34", 2, 0);
    settle();
    take("a look ends before the mark", MSG_PEEK);
    take("so does a reception", 0);
    take("beyond the mark", 0);
    take("that was not asked for", MSG_OOB);

    int one = 1;
    setsockopt(ends[1], SOL_SOCKET, SO_OOBINLINE, &one, sizeof one);
    send(ends[0], "xyz", 3, MSG_OOB);
    settle();
    show("events of one like the others", events(1));
    take("not taken so", MSG_OOB);
    take("up to the mark", 0);
    show("at the mark", at_mark());
    take("the byte", 0);
    show("end", shutdown(ends[0], SHUT_WR));
    settle();
    take("the end", 0);
    close(ends[0]);
    close(ends[1]);

    int pair[2];
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    show("a datagram socket has none", send(udp, "x", 1, MSG_OOB));
    close(udp);
    (void)!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    show("nor have messages", send(pair[0], "x", 1, MSG_OOB));
}

static void receive(int fd) {
    char bytes[16], control[256];
    struct iovec vector = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    show("received", recvmsg(fd, &message, 0));
    for (struct cmsghdr *one = CMSG_FIRSTHDR(&message); one; one = CMSG_NXTHDR(&message, one)) {
        printf("  level %d type %d:", one->cmsg_level, one->cmsg_type);
        for (size_t i = 0; i < one->cmsg_len - CMSG_LEN(0); i++)
            printf(" %02x", CMSG_DATA(one)[i]);
        puts("");
    }
}

static void headers(int family, int protocol) {
    struct sockaddr_storage here = {.ss_family = (sa_family_t)family};
    socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (family == AF_INET)
        ((struct sockaddr_in *)&here)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *)&here)->sin6_addr = in6addr_loopback;
    int receiver = socket(family, SOCK_DGRAM, protocol), sender = socket(family, SOCK_DGRAM, protocol);
    show("bind", bind(receiver, (void *)&here, len));
    getsockname(receiver, (void *)&here, &len);
    show("connect", connect(sender, (void *)&here, len));
    int one = 1, level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
    send(sender, "a", 1, 0);
    receive(receiver);
    int names[2][3] = {{IP_PKTINFO, IP_RECVTTL, IP_RECVTOS}, {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS}};
    for (int i = 0; i < 3; i++)
        show("ask", setsockopt(receiver, level, names[family != AF_INET][i], &one, sizeof one));
    send(sender, "a", 1, 0);
    receive(receiver);
    int hops = 7, class = 0x20;
    setsockopt(sender, level, family == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS, &hops, sizeof hops);
    setsockopt(sender, level, family == AF_INET ? IP_TOS : IPV6_TCLASS, &class, sizeof class);
    send(sender, "a", 1, 0);
    receive(receiver);
    char control[CMSG_SPACE(sizeof hops)] = {0};
    struct iovec vector = {"a", 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *said = CMSG_FIRSTHDR(&message);
    said->cmsg_level = level;
    said->cmsg_type = family == AF_INET ? IP_TTL : IPV6_HOPLIMIT;
    said->cmsg_len = CMSG_LEN(sizeof hops);
    hops = 3;
    memcpy(CMSG_DATA(said), &hops, sizeof hops);
    show("say it of one message", sendmsg(sender, &message, 0));
    receive(receiver);
    hops = 300;
    memcpy(CMSG_DATA(said), &hops, sizeof hops);
    show("too far", sendmsg(sender, &message, 0));
    close(receiver);
    close(sender);
}

int main(void) {
    urgent();
    headers(AF_INET, 0);
    headers(AF_INET6, 0);
    return 0;
}
