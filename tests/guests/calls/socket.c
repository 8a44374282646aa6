// socket, socketpair: families, types, flags, and what there is none of.
#include "../story.h"
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

int main(void) {
    int pair[2] = {-1, -1};
    WORKS(socket(AF_UNIX, SOCK_STREAM, 0));
    WORKS(socket(AF_UNIX, SOCK_DGRAM, 0));
    WORKS(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    WORKS(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    WORKS(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP));
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    SHOW(socket(AF_INET, SOCK_STREAM, 999));
    SHOW(socket(AF_INET, SOCK_STREAM, -1));
    SHOW(socket(AF_UNIX, 7, 0));
    SHOW(socket(AF_UNIX, -1, 0));
    SHOW(socket(AF_UNIX, SOCK_STREAM, 99));
    SHOW(socket(AF_UNIX, SOCK_RDM, 0));
    SHOW(socket(999, SOCK_STREAM, 0));
    SHOW(socket(-1, SOCK_STREAM, 0));
    SHOW(socket(AF_UNIX, SOCK_STREAM | 0x100, 0));
    int one = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    SHOW(fcntl(one, F_GETFD));
    SHOW(fcntl(one, F_GETFL) & (O_NONBLOCK | O_ACCMODE));

    SHOW(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    SHOW(fcntl(pair[1], F_GETFD));
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair));
    SHOW(fcntl(pair[0], F_GETFL) & O_NONBLOCK ? 1 : 0);
    SHOW(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, pair));
    SHOW(socketpair(AF_INET, SOCK_DGRAM, 0, pair));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, NOWHERE));
    SHOW(socketpair(AF_UNIX, 99, 0, pair));
    SHOW(socketpair(999, SOCK_STREAM, 0, pair));
    int before = dup(0);
    SHOW(dup(0) == before + 1);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)before + 3;
    setrlimit(RLIMIT_NOFILE, &limit);
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    WORKS(socket(AF_UNIX, SOCK_STREAM, 0));
    SHOW(socket(AF_UNIX, SOCK_STREAM, 0));
    return 0;
}
