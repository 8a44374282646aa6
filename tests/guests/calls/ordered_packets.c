// SOCK_SEQPACKET: connected like a stream, cut like packets.
#include "../story.h"
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0ordered packets of a story"};
    socklen_t len = offsetof(struct sockaddr_un, sun_path) + 27;
    char buffer[32] = {0};
    SHOW(send(client, "x", 1, 0));
    SHOW(connect(client, (void *)&name, len));
    SHOW(bind(listener, (void *)&name, len));
    SHOW(listen(listener, 3));
    SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&name, len));
    SHOW(connect(client, (void *)&name, len));
    int server = accept(listener, NULL, NULL);
    works("accept", server);
    SHOW(send(client, "first", 5, 0));
    SHOW(send(client, "", 0, 0));
    SHOW(send(client, "second", 6, MSG_EOR));
    SHOW(send(client, "third", 5, 0));
    SHOW(recv(server, buffer, 3, 0));
    SHOW(recv(server, buffer, sizeof buffer, 0));
    SHOW(recv(server, buffer, 2, MSG_PEEK | MSG_TRUNC));
    struct iovec piece = {buffer, 4};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    SHOW(recvmsg(server, &message, 0));
    SHOW(message.msg_flags & MSG_TRUNC ? 1 : 0);
    SHOW(read(server, buffer, sizeof buffer));
    printf("%.5s\n", buffer);
    SHOW(recv(server, buffer, sizeof buffer, MSG_DONTWAIT));
    SHOW(write(server, "back", 4));
    close(server);
    SHOW(read(client, buffer, sizeof buffer));
    SHOW(read(client, buffer, sizeof buffer));
    SHOW(write(client, "x", 1));
    return 0;
}
