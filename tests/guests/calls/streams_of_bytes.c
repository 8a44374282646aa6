// TCP within the machine: much of it, both ways, half closed, reset, and by a process that forks.
#include "../story.h"
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

static int listener;

static int dial(void) {
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    getsockname(listener, (void *)&in, &len);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return connect(fd, (void *)&in, len) == 0 ? fd : -1;
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bind(listener, (void *)&any, sizeof any);
    listen(listener, 5);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int fd = dial();
        unsigned char piece[7777];
        for (int i = 0; i < 100; i++) {
            for (size_t at = 0; at < sizeof piece; at++)
                piece[at] = (unsigned char)(i + (int)at);
            for (size_t done = 0; done < sizeof piece;)
                done += (size_t)write(fd, piece + done, sizeof piece - done);
        }
        shutdown(fd, SHUT_WR);
        _exit(read(fd, piece, sizeof piece) == 4 ? 0 : 1);
    }
    int server = accept(listener, NULL, NULL);
    unsigned char buffer[5000];
    long total = 0;
    int wrong = 0;
    for (ssize_t count; (count = read(server, buffer, sizeof buffer)) > 0; total += count)
        for (ssize_t at = 0; at < count; at++)
            wrong += buffer[at] != (unsigned char)((total + at) / 7777 + (total + at) % 7777);
    printf("%ld bytes, %d wrong\n", total, wrong);
    SHOW(write(server, "done", 4));
    int status;
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    close(server);

    // Who closes with bytes unread, or with no patience, resets.
    int client = dial();
    server = accept(listener, NULL, NULL);
    send(client, "never read", 10, 0);
    struct pollfd ready = {.fd = server, .events = POLLIN};
    poll(&ready, 1, 1000);
    close(server);
    ready = (struct pollfd){.fd = client, .events = POLLIN};
    SHOW(poll(&ready, 1, 1000));
    SHOW(ready.revents & POLLERR ? 1 : 0);
    SHOW(recv(client, buffer, 1, 0));
    SHOW(recv(client, buffer, 1, 0));
    SHOW(send(client, "x", 1, 0));
    client = dial();
    server = accept(listener, NULL, NULL);
    struct linger none = {1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(client);
    SHOW(recv(server, buffer, 1, 0));
    close(server);
    client = dial();
    server = accept(listener, NULL, NULL);
    close(listener);
    SHOW(send(client, "x", 1, 0));
    SHOW(recv(server, buffer, 10, 0));
    close(client);
    SHOW(recv(server, buffer, 10, 0));
    return 0;
}
