// connect, accept, accept4: to whom, in what state, and with which flags.
#include "../story.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_in address_of(int fd) {
    struct sockaddr_in in = {0};
    socklen_t len = sizeof in;
    getsockname(fd, (void *)&in, &len);
    return in;
}

static long connect_unix(int fd, const char *path, size_t len) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, len);
    return connect(fd, (void *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

int main(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, peer;
    socklen_t len = sizeof peer;
    SHOW(accept(listener, NULL, NULL));
    bind(listener, (void *)&any, sizeof any);
    struct sockaddr_in where = address_of(listener);
    SHOW(connect(client, (void *)&where, sizeof where));
    listen(listener, 5);
    SHOW(connect(client, (void *)&where, 3));
    SHOW(connect(client, NOWHERE, sizeof where));
    SHOW(connect(-1, (void *)&where, sizeof where));
    SHOW(connect(0, (void *)&where, sizeof where));
    struct sockaddr_in odd = where;
    odd.sin_family = 77;
    SHOW(connect(client, (void *)&odd, sizeof odd));
    SHOW(connect(client, (void *)&where, sizeof where));
    SHOW(connect(client, (void *)&where, sizeof where));
    SHOW(connect(listener, (void *)&where, sizeof where));
    int server = accept4(listener, (void *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    works("accept4", server);
    SHOW(len);
    CHECK(peer.sin_port == address_of(client).sin_port);
    SHOW(fcntl(server, F_GETFD));
    SHOW(fcntl(server, F_GETFL) & O_NONBLOCK ? 1 : 0);
    SHOW(accept4(listener, NULL, NULL, 0x10));
    SHOW(accept(-1, NULL, NULL));
    SHOW(accept(0, NULL, NULL));
    SHOW(accept(client, NULL, NULL));
    SHOW(accept(socket(AF_INET, SOCK_DGRAM, 0), NULL, NULL));
    fcntl(listener, F_SETFL, O_NONBLOCK);
    SHOW(accept(listener, NULL, NULL));
    int second = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    long result = connect(second, (void *)&where, sizeof where);
    check("at once or in progress", result == 0 || errno == EINPROGRESS);
    struct pollfd one = {.fd = second, .events = POLLOUT};
    SHOW(poll(&one, 1, 1000));
    int error = -1;
    len = sizeof error;
    SHOW(getsockopt(second, SOL_SOCKET, SO_ERROR, &error, &len));
    SHOW(error);
    len = 3;
    WORKS(accept(listener, (void *)&peer, &len));
    SHOW(len);

    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    SHOW(connect(udp, (void *)&where, sizeof where));
    SHOW(connect(udp, (void *)&where, sizeof where));
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    SHOW(connect(udp, &none, sizeof none));
    SHOW(send(udp, "x", 1, 0));

    int local = socket(AF_UNIX, SOCK_STREAM, 0), caller = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0story of connecting"};
    bind(local, (void *)&un, 22);
    SHOW(connect_unix(caller, "\0story of connecting", 20));
    listen(local, 0);
    SHOW(connect_unix(caller, "\0nobody has this name", 20));
    SHOW(connect_unix(caller, "/nowhere/socket", 16));
    SHOW(connect_unix(caller, "/dev/null", 10));
    SHOW(connect_unix(socket(AF_UNIX, SOCK_DGRAM, 0), "\0story of connecting", 20));
    SHOW(connect_unix(caller, "\0story of connecting", 20));
    // One may wait; the next one is told to come again.
    int third = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect_unix(third, "\0story of connecting", 20));
    WORKS(accept(local, NULL, NULL));
    SHOW(connect_unix(caller, "\0story of connecting", 20));
    SHOW(connect_unix(third, "\0story of connecting", 20));
    close(local);
    char byte;
    SHOW(recv(third, &byte, 1, 0));
    SHOW(connect_unix(socket(AF_UNIX, SOCK_STREAM, 0), "\0story of connecting", 20));
    return 0;
}
