// What poll says of TCP and UDP sockets on their way from new to closed.
#include "../story.h"
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static void ready(const char *what, int fd) {
    struct pollfd one = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    int count = poll(&one, 1, 0);
    printf("%s: %d%s%s%s%s%s\n", what, count, one.revents & POLLIN ? " in" : "", one.revents & POLLOUT ? " out" : "",
           one.revents & POLLRDHUP ? " peer done" : "", one.revents & POLLHUP ? " hung up" : "", one.revents & POLLERR ? " error" : "");
}

// Over the loopback what is sent is there at once, or nearly.
static void await(int fd, short events) {
    struct pollfd one = {.fd = fd, .events = events};
    poll(&one, 1, 1000);
}

int main(void) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    char byte;
    ready("new", client);
    bind(listener, (void *)&in, len);
    listen(listener, 3);
    ready("listening", listener);
    getsockname(listener, (void *)&in, &len);
    connect(client, (void *)&in, len);
    await(listener, POLLIN);
    ready("with one waiting", listener);
    ready("connected", client);
    int server = accept(listener, NULL, NULL);
    ready("accepted", server);
    ready("nobody waits any more", listener);
    send(client, "x", 1, 0);
    await(server, POLLIN);
    ready("with a byte", server);
    recv(server, &byte, 1, 0);
    ready("without", server);
    shutdown(client, SHUT_WR);
    await(server, POLLIN);
    ready("the peer is done", server);
    ready("who is done itself", client);
    shutdown(server, SHUT_WR);
    await(client, POLLHUP);
    ready("both are done", server);
    close(server);
    ready("and one is closed", client);
    ready("datagrams", udp);
    memset(&in, 0, sizeof in);
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(udp, (void *)&in, sizeof in);
    getsockname(udp, (void *)&in, &len);
    sendto(udp, "", 0, 0, (void *)&in, sizeof in);
    await(udp, POLLIN);
    ready("an empty one", udp);
    return 0;
}
