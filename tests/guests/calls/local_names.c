// Names of local sockets: paths, abstract ones, none; and datagrams that find them.
#include "../story.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un name;

static socklen_t named(const char *path, size_t len) {
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path, path, len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

int main(void) {
    int one = socket(AF_UNIX, SOCK_DGRAM, 0), two = socket(AF_UNIX, SOCK_DGRAM, 0);
    char buffer[32];
    struct sockaddr_un from;
    socklen_t len = named("\0one", 4);
    SHOW(bind(one, (void *)&name, len));
    SHOW(sendto(two, "hello", 5, 0, (void *)&name, len));
    socklen_t room = sizeof from;
    SHOW(recvfrom(one, buffer, sizeof buffer, 0, (void *)&from, &room));
    // Who has no name has none to tell.
    SHOW(room);
    // A name ends where its length says, NUL or not.
    len = named("\0one\0", 5);
    SHOW(sendto(two, "hello", 5, 0, (void *)&name, len));
    len = named("\0on", 3);
    SHOW(sendto(two, "hello", 5, 0, (void *)&name, len));
    len = named("\0two\0and more", 13);
    SHOW(bind(two, (void *)&name, len));
    room = sizeof from;
    SHOW(getsockname(two, (void *)&from, &room));
    SHOW(room == len && memcmp(&from, &name, len) == 0);
    len = named("\0one", 4);
    SHOW(connect(two, (void *)&name, len));
    SHOW(send(two, "again", 5, 0));
    room = sizeof from;
    SHOW(recvfrom(one, buffer, sizeof buffer, 0, (void *)&from, &room));
    SHOW(room);
    SHOW(sendto(one, "back", 4, 0, (void *)&from, room));
    SHOW(recv(two, buffer, sizeof buffer, 0));
    room = sizeof from;
    SHOW(getpeername(two, (void *)&from, &room));
    SHOW(room);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    SHOW(connect(two, &none, sizeof none));
    SHOW(send(two, "x", 1, 0));
    SHOW(getpeername(two, (void *)&from, &room));
    // A name is free again when its socket is closed.
    close(one);
    SHOW(connect(two, (void *)&name, len));
    one = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(bind(one, (void *)&name, len));
    SHOW(connect(two, (void *)&name, len));
    SHOW(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&name, 1));
    SHOW(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (void *)&name, 200));
    return 0;
}
