// bind, listen, getsockname, getpeername: addresses that can be had, and those that cannot.
#include "../story.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_in internet(const char *address, int port) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, address, &in.sin_addr);
    return in;
}

static long bind_unix(int fd, const char *path, socklen_t len) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, len);
    return bind(fd, (void *)&un, (socklen_t)offsetof(struct sockaddr_un, sun_path) + len);
}

int main(void) {
    int tcp = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = internet("127.0.0.1", 0), found = {0};
    socklen_t len = sizeof found;
    SHOW(getsockname(tcp, (void *)&found, &len));
    printf("family %d port %d length %u\n", found.sin_family, ntohs(found.sin_port), len);
    SHOW(getpeername(tcp, (void *)&found, &len));
    SHOW(bind(tcp, (void *)&any, 15));
    SHOW(bind(tcp, (void *)&any, 200));
    SHOW(bind(tcp, NOWHERE, sizeof any));
    SHOW(bind(-1, (void *)&any, sizeof any));
    SHOW(bind(0, (void *)&any, sizeof any));
    any.sin_family = AF_UNIX;
    SHOW(bind(tcp, (void *)&any, sizeof any));
    struct sockaddr_in foreign = internet("203.0.113.5", 0);
    SHOW(bind(tcp, (void *)&foreign, sizeof foreign));
    any.sin_family = AF_INET;
    SHOW(bind(tcp, (void *)&any, sizeof any));
    SHOW(bind(tcp, (void *)&any, sizeof any));
    len = sizeof found;
    SHOW(getsockname(tcp, (void *)&found, &len));
    CHECK(ntohs(found.sin_port) >= 1024 && found.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    SHOW(bind(other, (void *)&found, sizeof found));
    len = 4;
    SHOW(getsockname(tcp, (void *)&found, &len));
    SHOW(len);
    len = 0;
    SHOW(getsockname(tcp, (void *)&found, &len));
    len = (socklen_t)-1;
    SHOW(getsockname(tcp, (void *)&found, &len));
    SHOW(getsockname(tcp, (void *)&found, NOWHERE));
    len = sizeof found;
    SHOW(getsockname(tcp, NOWHERE, &len));
    SHOW(getsockname(-1, (void *)&found, &len));
    SHOW(getsockname(0, (void *)&found, &len));
    SHOW(getpeername(tcp, (void *)&found, &len));
    SHOW(getpeername(-1, (void *)&found, &len));

    SHOW(listen(-1, 1));
    SHOW(listen(0, 1));
    SHOW(listen(socket(AF_INET, SOCK_DGRAM, 0), 1));
    SHOW(listen(socket(AF_UNIX, SOCK_DGRAM, 0), 1));
    SHOW(listen(socket(AF_UNIX, SOCK_STREAM, 0), 1));
    SHOW(listen(tcp, 0));
    SHOW(listen(tcp, -1));
    SHOW(listen(tcp, 1000000));
    SHOW(listen(other, 5));
    len = sizeof found;
    SHOW(getsockname(other, (void *)&found, &len));
    CHECK(found.sin_port != 0);

    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(bind_unix(local, "\0story name", 11));
    SHOW(bind_unix(local, "\0another", 8));
    SHOW(bind_unix(socket(AF_UNIX, SOCK_STREAM, 0), "\0story name", 11));
    SHOW(bind_unix(socket(AF_UNIX, SOCK_DGRAM, 0), "\0story name", 11));
    struct sockaddr_un un;
    len = sizeof un;
    SHOW(getsockname(local, (void *)&un, &len));
    SHOW(len);
    printf("%.10s\n", un.sun_path + 1);
    SHOW(bind_unix(socket(AF_UNIX, SOCK_STREAM, 0), "/nowhere/socket", 16));
    SHOW(bind_unix(socket(AF_UNIX, SOCK_STREAM, 0), "/dev/null", 10));
    SHOW(bind_unix(socket(AF_UNIX, SOCK_STREAM, 0), "/dev/null/x", 12));
    int named = socket(AF_UNIX, SOCK_STREAM, 0);
    // No name at all: the kernel finds one.
    SHOW(bind_unix(named, "", 0));
    len = sizeof un;
    SHOW(getsockname(named, (void *)&un, &len));
    SHOW(len);
    CHECK(un.sun_path[0] == 0);
    return 0;
}
