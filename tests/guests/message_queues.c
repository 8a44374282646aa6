// POSIX message queues: priorities, room, time limits, being told, being polled, attributes, names, permissions, and what is an error.
#include "story.h"
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static char name[64];
static volatile sig_atomic_t told, code, value, sender;

static void on_message(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    told++;
    code = info->si_code;
    value = info->si_value.sival_int;
    sender = info->si_pid;
}

static void put(mqd_t queue, const char *text, unsigned priority) {
    printf("%s at %u: ", text, priority);
    show("sent", mq_send(queue, text, strlen(text), priority));
}

static void take(mqd_t queue) {
    char text[8192];
    unsigned priority = 77;
    ssize_t len = mq_receive(queue, text, sizeof text, &priority);
    if (len < 0)
        show("received", len);
    else
        printf("received %zd at %u \"%.*s\"\n", len, priority, (int)len, text);
}

static struct timespec in_ms(long ms) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += ms * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

static void opening(void) {
    struct mq_attr sizes = {.mq_maxmsg = 3, .mq_msgsize = 20};
    show("not there", mq_open(name, O_RDWR));
    show("a slash inside", mq_open("/a/b", O_RDWR | O_CREAT, 0600, NULL));
    show("no name", mq_open("/", O_RDWR | O_CREAT, 0600, NULL));
    show("no slash", mq_open("a", O_RDWR | O_CREAT, 0600, NULL));
    show("a dot", mq_open("/.", O_RDWR | O_CREAT, 0600, NULL));
    char longest[300] = "/";
    memset(longest + 1, 'x', 280);
    show("a long name", mq_open(longest, O_RDWR | O_CREAT, 0600, NULL));
    struct mq_attr wrong = {.mq_maxmsg = 0, .mq_msgsize = 20};
    show("no messages", mq_open(name, O_RDWR | O_CREAT, 0600, &wrong));
    wrong = (struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = -1};
    show("negative size", mq_open(name, O_RDWR | O_CREAT, 0600, &wrong));
    wrong = (struct mq_attr){.mq_maxmsg = 100000, .mq_msgsize = 1};
    show("too many", mq_open(name, O_RDWR | O_CREAT, 0600, &wrong));
    mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0640, &sizes);
    check("made", queue >= 0);
    show("made again", mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0640, &sizes));
    struct mq_attr now;
    show("attributes", mq_getattr(queue, &now));
    printf("%lx %ld %ld %ld\n", now.mq_flags, now.mq_maxmsg, now.mq_msgsize, now.mq_curmsgs);
    show("closes on exec", fcntl(queue, F_GETFD));
    struct stat status;
    fstat(queue, &status);
    printf("mode %o mine %d\n", status.st_mode & 0777, status.st_uid == getuid());
    mqd_t usual = mq_open("/usual", O_RDWR | O_CREAT, 0600, NULL);
    mq_getattr(usual, &now);
    printf("usual %ld %ld\n", now.mq_maxmsg, now.mq_msgsize);
    mq_unlink("/usual");
    show("unlinked, and usable", mq_send(usual, "x", 1, 0));
    mq_close(usual);
    show("unlink what is not there", mq_unlink("/usual"));
    show("no queue", mq_getattr(1, &now));
    show("no descriptor", mq_send(-1, "x", 1, 0));
    mq_close(queue);
}

static void priorities(void) {
    mqd_t queue = mq_open(name, O_RDWR), reader = mq_open(name, O_RDONLY | O_NONBLOCK), writer = mq_open(name, O_WRONLY);
    put(queue, "low", 1);
    put(queue, "high", 30);
    put(writer, "high too", 30);
    char text[64];
    ssize_t len = read(queue, text, sizeof text - 1);
    printf("told %.*s", (int)len, text);
    struct timespec soon = in_ms(30), odd = {0, 1000000000}, past = {1, 0};
    show("full", mq_timedsend(queue, "x", 1, 0, &soon));
    show("full, in the past", mq_timedsend(queue, "x", 1, 0, &past));
    show("an odd time", mq_timedsend(queue, "x", 1, 0, &odd));
    show("too long", mq_send(queue, "123456789012345678901", 21, 0));
    show("too high", mq_send(queue, "x", 1, 32768));
    show("nowhere", mq_send(queue, NOWHERE, 1, 0));
    show("a reader sends", mq_send(reader, "x", 1, 0));
    show("a writer receives", mq_receive(writer, text, sizeof text, NULL));
    show("too little room", mq_receive(queue, text, 19, NULL));
    take(queue);
    take(reader);
    take(queue);
    take(reader);
    soon = in_ms(30);
    show("empty", mq_timedreceive(queue, text, sizeof text, NULL, &soon));
    show("empty message", mq_send(queue, "", 0, 32767));
    take(queue);
    struct mq_attr wished = {.mq_flags = O_NONBLOCK, .mq_maxmsg = 9}, before;
    show("not to wait", mq_setattr(queue, &wished, &before));
    printf("before %lx %ld\n", before.mq_flags, before.mq_maxmsg);
    take(queue);
    wished.mq_flags = 1;
    show("another flag", mq_setattr(queue, &wished, NULL));
    mq_close(queue), mq_close(reader), mq_close(writer);
}

static void polled(void) {
    mqd_t queue = mq_open(name, O_RDWR);
    struct pollfd one = {.fd = queue, .events = POLLIN | POLLOUT};
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0);
    show("empty", poll(&one, 1, 0));
    printf("events %x\n", one.revents);
    show("watch", epoll_ctl(epoll, EPOLL_CTL_ADD, queue, &event));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        usleep(30000);
        for (int i = 0; i < 3; i++)
            mq_send(queue, "x", 1, 0);
        _exit(0);
    }
    show("comes", epoll_wait(epoll, &event, 1, 5000));
    waitpid(child, NULL, 0);
    poll(&one, 1, 0);
    printf("full %x\n", one.revents);
    for (int i = 0; i < 3; i++)
        take(queue);
    mq_close(queue);
}

static void waiting(void) {
    mqd_t queue = mq_open(name, O_RDWR);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        char text[64];
        unsigned priority;
        _exit(mq_receive(queue, text, sizeof text, &priority) == 4 && priority == 6 ? 5 : 6);
    }
    usleep(50000);
    put(queue, "wake", 6);
    int status = 0;
    waitpid(child, &status, 0);
    printf("woken %#x\n", (unsigned)status);
    if ((child = fork()) == 0) {
        alarm(1);
        signal(SIGALRM, SIG_DFL);
        char text[64];
        mq_receive(queue, text, sizeof text, NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    printf("killed %#x\n", (unsigned)status);
    mq_close(queue);
}

static int within_a_second(int wanted) {
    for (int i = 0; i < 1000 && told != wanted; i++)
        usleep(1000);
    return told == wanted;
}

static volatile int called;
static void on_thread(union sigval what) {
    called = what.sival_int;
}

static void being_told(void) {
    mqd_t queue = mq_open(name, O_RDWR);
    struct sigaction action = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR2, &action, NULL);
    struct sigevent wish = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 123};
    show("wish", mq_notify(queue, &wish));
    show("once more", mq_notify(queue, &wish));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(mq_notify(queue, &wish) < 0 && errno == EBUSY && mq_send(queue, "hello", 5, 0) == 0 ? 3 : 4);
    int status = 0;
    waitpid(child, &status, 0);
    printf("the child %#x\n", (unsigned)status);
    check("told", within_a_second(1));
    printf("code %d value %d from the child %d\n", code, value, sender == child);
    put(queue, "again", 0);
    usleep(20000);
    show("told once", told);
    take(queue);
    take(queue);
    show("wish", mq_notify(queue, &wish));
    show("and not", mq_notify(queue, NULL));
    put(queue, "quiet", 0);
    usleep(20000);
    show("told", told);
    show("wish, with one there", mq_notify(queue, &wish));
    put(queue, "another", 0);
    usleep(20000);
    show("told only when it was empty", told);
    take(queue);
    take(queue);
    put(queue, "now", 0);
    check("told now", within_a_second(2));
    take(queue);
    wish.sigev_notify = 77;
    show("an unknown way", mq_notify(queue, &wish));
    wish.sigev_notify = SIGEV_SIGNAL;
    wish.sigev_signo = 65;
    show("no signal", mq_notify(queue, &wish));
    show("no queue", mq_notify(0, NULL));
    wish = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 456};
    show("by a thread", mq_notify(queue, &wish));
    put(queue, "thread", 0);
    for (int i = 0; i < 1000 && called == 0; i++)
        usleep(1000);
    show("called", called);
    take(queue);
    // A process that ends is not to be told any more.
    fflush(stdout);
    if ((child = fork()) == 0) {
        struct sigevent none = {.sigev_notify = SIGEV_NONE};
        _exit(mq_notify(queue, &none) == 0 ? 0 : 1);
    }
    waitpid(child, NULL, 0);
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    show("after one that ended", mq_notify(queue, &none));
    mq_close(queue);
}

static void limits(void) {
    struct rlimit limit = {1000, 1000};
    show("a limit", setrlimit(RLIMIT_MSGQUEUE, &limit));
    struct mq_attr sizes = {.mq_maxmsg = 5, .mq_msgsize = 200};
    show("too much", mq_open("/large", O_RDWR | O_CREAT, 0600, &sizes));
}

static void others(void) {
    if (setgid(4321) != 0 || setuid(4321) != 0)
        exit(99);
    show("not mine", mq_open(name, O_RDONLY));
    show("not mine to unlink", mq_unlink(name));
    struct mq_attr sizes = {.mq_maxmsg = 11, .mq_msgsize = 20};
    show("more than others may", mq_open("/mine", O_RDWR | O_CREAT, 0600, &sizes));
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(name, sizeof name, "/story-%d", getpid());
    opening();
    priorities();
    polled();
    waiting();
    being_told();
    in_a_child(limits);
    if (getuid() == 0)
        in_a_child(others);
    show("unlink", mq_unlink(name));
    show("gone", mq_open(name, O_RDWR));
    return 0;
}
