// recv, recvfrom, recvmsg, recvmmsg: looking, waiting for all, what is cut off, and where nothing can be put.
#include "../story.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    int pair[2], packets[2];
    char buffer[64] = {0};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, packets);
    SHOW(recv(pair[0], buffer, 10, MSG_DONTWAIT));
    send(pair[1], "abcdef", 6, 0);
    SHOW(recv(pair[0], buffer, 3, MSG_PEEK));
    SHOW(recv(pair[0], buffer, 10, MSG_PEEK));
    SHOW(recv(pair[0], NOWHERE, 3, 0));
    SHOW(recv(pair[0], buffer, 0, 0));
    SHOW(recv(pair[0], buffer, 3, 0));
    printf("%.3s\n", buffer);
    SHOW(recv(pair[0], buffer, 10, MSG_TRUNC) > 0);
    SHOW(recv(-1, buffer, 1, 0));
    SHOW(recv(0, buffer, 1, 0));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 5; i++) {
            usleep(2000);
            send(pair[1], "12", 2, 0);
        }
        _exit(0);
    }
    SHOW(recv(pair[0], buffer, 10, MSG_WAITALL));
    waitpid(child, NULL, 0);

    send(packets[1], "0123456789", 10, 0);
    send(packets[1], "next", 4, 0);
    SHOW(recv(packets[0], buffer, 4, MSG_PEEK | MSG_TRUNC));
    SHOW(recv(packets[0], buffer, 4, MSG_TRUNC));
    SHOW(recv(packets[0], buffer, 2, 0));
    SHOW(recv(packets[0], buffer, 2, MSG_DONTWAIT));
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0the one who sends"};
    bind(packets[1], (void *)&un, 20);
    send(packets[1], "hello", 5, 0);
    struct sockaddr_un from;
    socklen_t len = sizeof from;
    SHOW(recvfrom(packets[0], buffer, 10, 0, (void *)&from, &len));
    SHOW(len);
    printf("%.17s\n", from.sun_path + 1);
    send(packets[1], "hello", 5, 0);
    len = 5;
    SHOW(recvfrom(packets[0], buffer, 10, 0, (void *)&from, &len));
    SHOW(len);
    send(packets[1], "hello", 5, 0);
    len = (socklen_t)-1;
    SHOW(recvfrom(packets[0], buffer, 10, 0, (void *)&from, &len));

    struct iovec pieces[2] = {{buffer, 3}, {buffer + 10, 4}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2, .msg_name = &from, .msg_namelen = sizeof from};
    send(packets[1], "0123456789", 10, 0);
    SHOW(recvmsg(packets[0], &message, 0));
    SHOW(message.msg_flags);
    SHOW(message.msg_namelen);
    SHOW(message.msg_controllen);
    SHOW(recvmsg(packets[0], NOWHERE, 0));
    SHOW(recvmsg(-1, &message, 0));
    message.msg_iovlen = 1025;
    SHOW(recvmsg(packets[0], &message, MSG_DONTWAIT));
    message.msg_iov = NOWHERE;
    message.msg_iovlen = 1;
    SHOW(recvmsg(packets[0], &message, MSG_DONTWAIT));

    struct mmsghdr several[4];
    for (int i = 0; i < 4; i++)
        several[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = pieces, .msg_iovlen = 2}};
    for (int i = 1; i < 4; i++)
        send(packets[1], "0123456789", (size_t)i * 2, 0);
    SHOW(recvmmsg(packets[0], several, 4, MSG_WAITFORONE, NULL));
    printf("%u %u %u\n", several[0].msg_len, several[1].msg_len, several[2].msg_len);
    SHOW(recvmmsg(packets[0], several, 4, MSG_DONTWAIT, NULL));
    struct timespec some = {0, 5000000}, bad = {0, -1};
    SHOW(recvmmsg(packets[0], several, 0, 0, NULL));
    SHOW(recvmmsg(packets[0], several, 4, MSG_DONTWAIT, &bad));
    SHOW(recvmmsg(-1, several, 4, 0, &some));
    SHOW(shutdown(packets[0], SHUT_RD));
    SHOW(recv(packets[0], buffer, 2, 0));
    SHOW(shutdown(pair[1], SHUT_WR));
    SHOW(recv(pair[0], buffer, 2, 0));
    SHOW(recv(pair[0], buffer, 2, MSG_PEEK));
    SHOW(recv(socket(AF_UNIX, SOCK_STREAM, 0), buffer, 2, 0));
    return 0;
}
