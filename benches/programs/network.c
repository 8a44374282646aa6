// TCP with a peer on the host's loopback: natively both ends are there, from a partition the peer is outside.
//
//   network serve         the peer, on port PORT, until its standard input ends
//   network stream        one connection, 256 KiB at a time: to the peer, and from it
//   network request       64 bytes there and back: right after each other, and after a pause
//   network connect       connections opened and closed one after another, and by 16 threads; then 1,000 open at once
#define _GNU_SOURCE
#include "measure.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 47653, CHUNK = 256 << 10, MESSAGE = 64, MANY = 1000, THREADS = 16 };

// What the first byte of a connection asks the peer to do.
enum { SINK = 's', SOURCE = 'r', ECHO = 'e' };

// Long enough for both sides to have gone to sleep.
static const struct timespec PAUSE = { 0, 2 * 1000 * 1000 };
// Long enough for a stream to be at its speed.
static const int64_t STREAM_NS = 700 * 1000 * 1000;

static struct sockaddr_in peer = { .sin_family = AF_INET };

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = send(fd, bytes, len, MSG_NOSIGNAL);
        if (done <= 0)
            return -1;
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}

static int read_all(int fd, char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = read(fd, bytes, len);
        if (done <= 0)
            return -1;
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}

static void *attend(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char *buffer = calloc(1, CHUNK), what = 0;
    int64_t total = 0;
    ssize_t done = buffer ? read(fd, &what, 1) : -1;
    if (done == 1 && what == SINK) {
        while ((done = read(fd, buffer, CHUNK)) > 0)
            total += done;
        // How much came, so that the other side knows when it has.
        if (done == 0)
            write_all(fd, (char *)&total, sizeof(total));
    } else if (done == 1 && what == SOURCE) {
        while (write_all(fd, buffer, CHUNK) == 0)
            ;
    } else if (done == 1 && what == ECHO) {
        while (read_all(fd, buffer, MESSAGE) == 0 && write_all(fd, buffer, MESSAGE) == 0)
            ;
    }
    free(buffer);
    close(fd);
    return NULL;
}

static int serve(void)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&peer, sizeof(peer)) < 0 || listen(listener, 1024) < 0) {
        perror("network: cannot listen");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    struct pollfd waits[2] = { { listener, POLLIN, 0 }, { 0, POLLIN, 0 } };
    while (poll(waits, 2, -1) > 0 && waits[1].revents == 0) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (fd >= 0 && pthread_create(&thread, &small, attend, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
    return 0;
}

static int try_connect(void)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

// The peer is on this machine, or on the host of this partition.
static int find_peer(void)
{
    const char *places[] = { "127.0.0.1", "198.18.0.1" };
    peer.sin_port = htons(PORT);
    for (int i = 0; i < 2; i++) {
        inet_pton(AF_INET, places[i], &peer.sin_addr);
        int fd = try_connect();
        if (fd >= 0) {
            close(fd);
            return 0;
        }
    }
    return -1;
}

static int open_to(char what)
{
    int fd = try_connect();
    if (fd >= 0 && write_all(fd, &what, 1) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void report_speed(const char *name, int64_t bytes, int64_t start)
{
    report(name, (double)bytes / MEBIBYTE / ((double)(now_ns() - start) / 1e9));
}

static void stream(void)
{
    static char buffer[CHUNK];
    int fd = open_to(SINK);
    int64_t start = now_ns(), sent = 0, came = 0;
    while (fd >= 0 && now_ns() - start < STREAM_NS && write_all(fd, buffer, CHUNK) == 0)
        sent += CHUNK;
    // All of it has to arrive.
    if (fd < 0 || shutdown(fd, SHUT_WR) < 0 || read_all(fd, (char *)&came, sizeof(came)) < 0 || came != sent)
        report_errno("stream_out", "the stream to the peer");
    else
        report_speed("stream_out", sent, start);
    close(fd);

    fd = open_to(SOURCE);
    start = now_ns();
    came = 0;
    ssize_t done = fd < 0 ? -1 : 1;
    while (done > 0 && now_ns() - start < STREAM_NS) {
        done = read(fd, buffer, CHUNK);
        came += done;
    }
    if (done <= 0)
        report_errno("stream_in", "the stream from the peer");
    else
        report_speed("stream_in", came, start);
    close(fd);
}

static void request(const char *name, int is_pausing)
{
    enum { TIMES = 201 };
    static int64_t times[TIMES];
    char message[MESSAGE] = "request";
    int fd = open_to(ECHO);
    for (int i = 0; i < TIMES; i++) {
        if (is_pausing)
            nanosleep(&PAUSE, NULL);
        int64_t start = now_ns();
        if (fd < 0 || write_all(fd, message, MESSAGE) < 0 || read_all(fd, message, MESSAGE) < 0) {
            report_errno(name, "the peer");
            return;
        }
        times[i] = now_ns() - start;
    }
    close(fd);
    report(name, median_of(times, TIMES));
}

static int64_t deadline;

static void *connect_often(void *argument)
{
    int64_t *count = argument;
    while (now_ns() < deadline) {
        int fd = try_connect();
        if (fd < 0) {
            *count = -1;
            break;
        }
        close(fd);
        ++*count;
    }
    return NULL;
}

static void connect_many(const char *name, int threads)
{
    pthread_t ids[THREADS];
    int64_t counts[THREADS] = { 0 }, total = 0, start = now_ns();
    deadline = start + 500 * 1000 * 1000;
    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, connect_often, &counts[i]);
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        if (counts[i] < 0)
            total = INT64_MIN / 2;
        total += counts[i];
    }
    if (total < 0)
        report_errno(name, "connect");
    else
        report(name, (double)total / ((double)(now_ns() - start) / 1e9));
}

// Opens them, and has each carry a message.
static void at_once(void)
{
    static int fds[MANY];
    char message[MESSAGE] = "one of many";
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int64_t start = now_ns();
    for (int i = 0; i < MANY; i++) {
        fds[i] = open_to(ECHO);
        if (fds[i] < 0) {
            report_errno("open_at_once_us", "connect");
            return;
        }
    }
    for (int i = 0; i < MANY; i++)
        write_all(fds[i], message, MESSAGE);
    for (int i = 0; i < MANY; i++) {
        if (read_all(fds[i], message, MESSAGE) < 0) {
            report_errno("open_at_once_us", "read");
            return;
        }
    }
    report("open_at_once_us", (double)(now_ns() - start) / 1e3);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    signal(SIGPIPE, SIG_IGN);
    peer.sin_port = htons(PORT);
    if (strcmp(what, "serve") == 0)
        return serve();
    if (find_peer() < 0) {
        report_errno(what, "there is no peer");
        return 0;
    }
    if (strcmp(what, "stream") == 0) {
        stream();
    } else if (strcmp(what, "request") == 0) {
        request("request", 0);
        request("request_asleep", 1);
    } else if (strcmp(what, "connect") == 0) {
        connect_many("connect_1", 1);
        connect_many("connect_16", THREADS);
        at_once();
    } else {
        fprintf(stderr, "usage: network serve|stream|request|connect\n");
        return 2;
    }
    return 0;
}
