// shutdown: one way, the other, both; of stream and packets; and what has no ways.
#include "../story.h"
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

static void connected(int pair[2]) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    bind(listener, (void *)&in, len);
    listen(listener, 1);
    getsockname(listener, (void *)&in, &len);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    connect(pair[0], (void *)&in, len);
    pair[1] = accept(listener, NULL, NULL);
    close(listener);
}

static void story(const char *what, int pair[2]) {
    char buffer[10];
    puts(what);
    SHOW(shutdown(pair[0], 3));
    SHOW(shutdown(pair[0], -1));
    SHOW(send(pair[0], "before", 6, 0));
    SHOW(shutdown(pair[0], SHUT_WR));
    SHOW(shutdown(pair[0], SHUT_WR));
    SHOW(send(pair[0], "after", 5, 0));
    SHOW(recv(pair[1], buffer, 10, 0));
    SHOW(recv(pair[1], buffer, 10, 0));
    SHOW(send(pair[1], "back", 4, 0));
    SHOW(recv(pair[0], buffer, 10, 0));
    SHOW(shutdown(pair[0], SHUT_RD));
    SHOW(recv(pair[0], buffer, 10, 0));
    SHOW(shutdown(pair[1], SHUT_WR));
    SHOW(recv(pair[0], buffer, 10, MSG_DONTWAIT));
    close(pair[0]);
    close(pair[1]);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    story("a local stream", pair);
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
    story("local packets in order", pair);
    connected(pair);
    story("a stream", pair);
    SHOW(shutdown(-1, SHUT_RD));
    SHOW(shutdown(0, SHUT_RD));
    SHOW(shutdown(socket(AF_INET, SOCK_STREAM, 0), SHUT_RDWR));
    SHOW(shutdown(socket(AF_INET, SOCK_DGRAM, 0), SHUT_RDWR));
    SHOW(shutdown(socket(AF_UNIX, SOCK_STREAM, 0), SHUT_RDWR));
    return 0;
}
