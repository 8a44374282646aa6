// send, sendto, sendmsg, sendmmsg: flags, destinations, lengths, and sockets that cannot.
#include "../story.h"
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static int broken;

static void on_pipe(int signal) {
    broken += signal == SIGPIPE;
}

int main(void) {
    int pair[2], packets[2];
    char buffer[64];
    signal(SIGPIPE, on_pipe);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, packets);
    SHOW(send(pair[0], "abc", 3, 0));
    SHOW(send(pair[0], "abc", 0, 0));
    SHOW(send(pair[0], NOWHERE, 3, 0));
    SHOW(send(pair[0], "d", 1, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE));
    SHOW(send(-1, "abc", 3, 0));
    SHOW(send(0, "abc", 3, 0));
    SHOW(recv(pair[1], buffer, sizeof buffer, 0));
    SHOW(send(packets[0], "packet", 6, 0));
    SHOW(send(packets[0], "", 0, 0));
    SHOW(recv(packets[1], buffer, sizeof buffer, 0));
    SHOW(recv(packets[1], buffer, sizeof buffer, 0));
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0nobody at all"};
    SHOW(sendto(pair[0], "x", 1, 0, (void *)&un, 16));
    SHOW(sendto(packets[0], "x", 1, 0, (void *)&un, 16));
    SHOW(sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, NULL, 0));
    SHOW(sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (void *)&un, 16));
    SHOW(sendto(packets[0], "x", 1, 0, NOWHERE, 16));
    SHOW(sendto(packets[0], "x", 1, 0, (void *)&un, -1));
    SHOW(send(socket(AF_UNIX, SOCK_STREAM, 0), "x", 1, 0));
    SHOW(broken);
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW(send(tcp, "x", 1, MSG_NOSIGNAL));
    SHOW(broken);
    SHOW(send(udp, "x", 1, 0));
    static char large[70000];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    SHOW(sendto(udp, large, sizeof large, 0, (void *)&in, sizeof in));
    SHOW(sendto(udp, large, 65507, 0, (void *)&in, sizeof in));
    SHOW(sendto(udp, "x", 1, 0, (void *)&in, 4));

    struct iovec pieces[2] = {{"one ", 4}, {"two", 3}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    SHOW(sendmsg(packets[0], &message, 0));
    SHOW(recv(packets[1], buffer, sizeof buffer, 0));
    printf("%.7s\n", buffer);
    message.msg_iovlen = 1025;
    SHOW(sendmsg(packets[0], &message, 0));
    message.msg_iovlen = 0;
    SHOW(sendmsg(packets[0], &message, 0));
    SHOW(recv(packets[1], buffer, sizeof buffer, 0));
    SHOW(sendmsg(packets[0], NOWHERE, 0));
    SHOW(sendmsg(-1, &message, 0));
    SHOW(sendmsg(0, &message, 0));
    message.msg_iov = NOWHERE;
    message.msg_iovlen = 1;
    SHOW(sendmsg(packets[0], &message, 0));

    struct mmsghdr several[3];
    memset(several, 0, sizeof several);
    for (int i = 0; i < 3; i++)
        several[i].msg_hdr = (struct msghdr){.msg_iov = pieces, .msg_iovlen = (size_t)i % 2 + 1};
    SHOW(sendmmsg(packets[0], several, 3, 0));
    printf("%u %u %u\n", several[0].msg_len, several[1].msg_len, several[2].msg_len);
    SHOW(sendmmsg(packets[0], several, 0, 0));
    SHOW(sendmmsg(-1, several, 1, 0));
    SHOW(sendmmsg(packets[0], NOWHERE, 1, 0));
    several[1].msg_hdr.msg_iov = NOWHERE;
    SHOW(sendmmsg(packets[0], several, 3, 0));

    SHOW(shutdown(pair[0], SHUT_WR));
    SHOW(send(pair[0], "x", 1, MSG_NOSIGNAL));
    SHOW(broken);
    SHOW(send(pair[0], "x", 1, 0));
    SHOW(broken);
    close(packets[1]);
    SHOW(send(packets[0], "x", 1, 0));
    SHOW(broken);
    return 0;
}
