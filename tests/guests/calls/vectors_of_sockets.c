// readv, writev, read, write on sockets: as recv and send without flags, whole packets, and streams as far as they go.
#include "../story.h"
#include <sys/socket.h>
#include <sys/uio.h>

int main(void) {
    int stream[2], packets[2];
    char a[4] = {0}, b[8] = {0};
    struct iovec out[3] = {{"one ", 4}, {"", 0}, {"two three", 9}}, in[2] = {{a, 4}, {b, 8}};
    socketpair(AF_UNIX, SOCK_STREAM, 0, stream);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, packets);
    SHOW(writev(stream[0], out, 3));
    SHOW(readv(stream[1], in, 2));
    printf("%.4s|%.8s\n", a, b);
    SHOW(read(stream[1], a, 4));
    SHOW(writev(packets[0], out, 3));
    SHOW(writev(packets[0], out, 1));
    SHOW(readv(packets[1], in, 1));
    SHOW(readv(packets[1], in, 2));
    SHOW(writev(packets[0], out, 0));
    SHOW(writev(packets[0], NULL, 0));
    SHOW(write(packets[0], "", 0));
    SHOW(recv(packets[1], a, 4, MSG_DONTWAIT));
    // A stream takes as much as fits, and more once there is room.
    fcntl(stream[0], F_SETFL, O_NONBLOCK);
    static char block[1 << 20];
    memset(block, 'b', sizeof block);
    long sent = 0;
    for (ssize_t count; (count = write(stream[0], block, sizeof block)) > 0;)
        sent += count;
    show("full", write(stream[0], block, 1));
    CHECK(sent > 10000 && sent < 10000000);
    long got = 0;
    fcntl(stream[1], F_SETFL, O_NONBLOCK);
    for (ssize_t count; (count = read(stream[1], block, sizeof block)) > 0;)
        got += count;
    CHECK(got == sent);
    show("empty", read(stream[1], block, 1));
    SHOW(write(stream[0], block, 10));
    // A packet that is larger than any may be.
    SHOW(write(packets[0], block, sizeof block));
    SHOW(shutdown(stream[0], SHUT_WR));
    SHOW(readv(stream[1], in, 2));
    SHOW(readv(stream[1], in, 2));
    return 0;
}
