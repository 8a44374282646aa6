// Sockets with time limits of their own, and signals: a call that waits with a limit is not made again, whatever SA_RESTART says; one
// without is.
#include "story.h"
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

static char buffer[1 << 20];
static volatile int handled;

static void handle(int signal) {
    (void)signal;
    handled++;
}

// A signal in a moment.
static void soon(void) {
    handled = 0;
    struct itimerval timer = {.it_value.tv_usec = 30000};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void limit(int socket, int option, long seconds) {
    struct timeval time = {.tv_sec = seconds};
    show("limit", setsockopt(socket, SOL_SOCKET, option, &time, sizeof time));
}

// Writes when the signal was handled and the other thread waits again. The signal is for that one.
static void *later(void *argument) {
    while (!handled)
        usleep(1000);
    usleep(30000);
    (void)!write(*(int *)argument, "late", 4);
    return NULL;
}

static pthread_t write_later(int *socket) {
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    handled = 0;
    pthread_t thread;
    pthread_sigmask(SIG_BLOCK, &alarms, NULL);
    pthread_create(&thread, NULL, later, socket);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    soon();
    return thread;
}

static void tell(const char *what, long result) {
    show(what, result);
    check("handled once", handled == 1);
}

static void receiving(int *ends) {
    limit(ends[0], SO_RCVTIMEO, 100);
    struct iovec part = {buffer, 4};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct mmsghdr several[1] = {{.msg_hdr = message}};
    soon();
    tell("recv", recv(ends[0], buffer, 4, 0));
    soon();
    tell("read", read(ends[0], buffer, 4));
    soon();
    tell("readv", readv(ends[0], &part, 1));
    soon();
    tell("recvmsg", recvmsg(ends[0], &message, 0));
    soon();
    tell("recvmmsg", recvmmsg(ends[0], several, 1, 0, NULL));
    // The other direction has no limit.
    limit(ends[1], SO_SNDTIMEO, 100);
    pthread_t thread = write_later(&ends[0]);
    tell("recv without", recv(ends[1], buffer, 4, 0));
    pthread_join(thread, NULL);
    limit(ends[0], SO_RCVTIMEO, 0);
    thread = write_later(&ends[1]);
    tell("recv without again", recv(ends[0], buffer, 4, 0));
    pthread_join(thread, NULL);
}

static void sending(int *ends) {
    while (send(ends[1], buffer, 4096, MSG_DONTWAIT) > 0) {
    }
    soon();
    tell("send", send(ends[1], buffer, sizeof buffer, 0));
    soon();
    tell("write", write(ends[1], buffer, sizeof buffer));
}

static void accepting(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 1);
    limit(listener, SO_RCVTIMEO, 100);
    soon();
    tell("accept", accept(listener, NULL, NULL));
    struct timeval time = {.tv_usec = 20000};
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    show("accept in vain", accept(listener, NULL, NULL));
}

int main(void) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    int ends[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    receiving(ends);
    sending(ends);
    accepting();
    return 0;
}
