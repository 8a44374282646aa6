// UDP within the machine: bound, connected, filtered by peer, refused, cut off; also by version 6.
#include "../story.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct sockaddr_in bound(int fd) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    bind(fd, (void *)&in, len);
    getsockname(fd, (void *)&in, &len);
    return in;
}

int main(void) {
    int one = socket(AF_INET, SOCK_DGRAM, 0), two = socket(AF_INET, SOCK_DGRAM, 0), three = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in at_one = bound(one), at_two = bound(two), at_three = bound(three), from;
    socklen_t len = sizeof from;
    char buffer[32] = {0};
    SHOW(sendto(one, "hello", 5, 0, (void *)&at_two, sizeof at_two));
    SHOW(recvfrom(two, buffer, sizeof buffer, 0, (void *)&from, &len));
    CHECK(from.sin_port == at_one.sin_port && from.sin_addr.s_addr == at_one.sin_addr.s_addr && len == sizeof from);
    SHOW(sendto(one, "", 0, 0, (void *)&at_two, sizeof at_two));
    SHOW(recv(two, buffer, sizeof buffer, 0));
    SHOW(connect(two, (void *)&at_one, sizeof at_one));
    // From others nothing comes any more.
    SHOW(sendto(three, "no", 2, 0, (void *)&at_two, sizeof at_two));
    SHOW(recv(two, buffer, sizeof buffer, MSG_DONTWAIT));
    SHOW(send(two, "to one", 6, 0));
    SHOW(recv(one, buffer, 2, 0));
    SHOW(recv(one, buffer, 2, MSG_DONTWAIT));
    SHOW(sendto(two, "to three", 8, 0, (void *)&at_three, sizeof at_three));
    SHOW(recv(three, buffer, sizeof buffer, MSG_TRUNC));
    len = sizeof from;
    SHOW(getpeername(two, (void *)&from, &len));
    CHECK(from.sin_port == at_one.sin_port);
    SHOW(getpeername(three, (void *)&from, &len));
    // Nobody there: one is told by the next call.
    close(one);
    SHOW(send(two, "x", 1, 0));
    SHOW(send(two, "x", 1, 0));
    SHOW(send(two, "x", 1, 0));
    SHOW(recv(two, buffer, 1, MSG_DONTWAIT));
    int six = socket(AF_INET6, SOCK_DGRAM, 0), other = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 loop = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    SHOW(bind(six, (void *)&loop, sizeof loop));
    len = sizeof loop;
    SHOW(getsockname(six, (void *)&loop, &len));
    SHOW(len);
    SHOW(sendto(other, "six", 3, 0, (void *)&loop, sizeof loop));
    SHOW(recv(six, buffer, sizeof buffer, 0));
    SHOW(bind(other, (void *)&loop, sizeof loop));
    SHOW(bind(other, (void *)&loop, 16));
    SHOW(sendto(other, "x", 1, 0, (void *)&at_two, sizeof at_two));
    return 0;
}
