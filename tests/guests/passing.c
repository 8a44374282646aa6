// What goes with messages over Unix sockets: open files and credentials, several messages at once, and what does not fit.
#include "story.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char control[CMSG_SPACE(300 * sizeof(int))];
static char text[64];

static ssize_t pass(int to, const char *bytes, const int *files, int count) {
    struct iovec piece = {(void *)bytes, strlen(bytes)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (count > 0) {
        memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(header), files, count * sizeof(int));
    }
    return sendmsg(to, &message, 0);
}

// Receives; tells how many files came, and puts them into `files`.
static int take(int from, size_t room, size_t control_room, int flags, int *files) {
    memset(text, 0, sizeof text);
    struct iovec piece = {text, room};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = control_room};
    ssize_t length = recvmsg(from, &message, flags);
    int count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_type == SCM_RIGHTS) {
            count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(files, CMSG_DATA(header), count * sizeof(int));
        } else if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(header), sizeof who);
            check("who sent it", who.pid == getpid() && who.uid == getuid() && who.gid == getgid());
        }
    }
    if (length < 0)
        printf("%s\n", strerrorname_np(errno));
    else
        printf("%ld bytes '%s', %d files, control %zu%s%s%s\n", (long)length, text, count, (size_t)message.msg_controllen,
               message.msg_flags & MSG_CTRUNC ? " truncated" : "", message.msg_flags & MSG_TRUNC ? " cut" : "",
               message.msg_flags & MSG_CMSG_CLOEXEC ? " cloexec" : "");
    return count;
}

static void *from_a_thread(void *argument) {
    int ends[2];
    (void)!pipe(ends);
    pass(*(int *)argument, "pipe", ends, 1);
    close(ends[0]);
    (void)!write(ends[1], "through a pipe", 14);
    close(ends[1]);
    return NULL;
}

int main(void) {
    int ends[2], files[300], got[300];
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    puts("# a file");
    int memory = memfd_create("passed", 0);
    (void)!write(memory, "contents", 8);
    show("pass", pass(ends[0], "one", &memory, 1));
    close(memory);
    take(ends[1], 10, sizeof control, 0, got);
    show("it is the same file", pread(got[0], text, 20, 0));
    show("not closed on exec", fcntl(got[0], F_GETFD));
    show("back", pass(ends[1], "two", got, 1));
    close(got[0]);
    take(ends[0], 10, sizeof control, MSG_CMSG_CLOEXEC, got);
    show("closed on exec", fcntl(got[0], F_GETFD));
    close(got[0]);

    puts("# from a thread");
    pthread_t thread;
    pthread_create(&thread, NULL, from_a_thread, &ends[0]);
    take(ends[1], 10, sizeof control, 0, got);
    pthread_join(thread, NULL);
    ssize_t count = read(got[0], text, sizeof text);
    printf("%.*s\n", (int)count, text);
    close(got[0]);

    puts("# where messages end");
    files[0] = files[1] = files[2] = 1;
    (void)!write(ends[0], "plain ", 6);
    pass(ends[0], "with", files, 1);
    pass(ends[0], "with two", files, 2);
    (void)!write(ends[0], "plain", 5);
    for (int i = 0; i < 3; i++) {
        int n = take(ends[1], 60, sizeof control, 0, got);
        while (n > 0)
            close(got[--n]);
    }
    pass(ends[0], "in parts", files, 1);
    int n = take(ends[1], 3, sizeof control, MSG_PEEK, got);
    while (n > 0)
        close(got[--n]);
    n = take(ends[1], 3, sizeof control, 0, got);
    while (n > 0)
        close(got[--n]);
    take(ends[1], 30, sizeof control, 0, got);

    puts("# what does not fit");
    pass(ends[0], "three", files, 3);
    n = take(ends[1], 30, CMSG_SPACE(sizeof(int)), 0, got);
    while (n > 0)
        close(got[--n]);
    pass(ends[0], "none", files, 3);
    take(ends[1], 30, 0, 0, got);
    pass(ends[0], "read", files, 3);
    show("read", read(ends[1], text, 30));
    struct rlimit limit, few;
    getrlimit(RLIMIT_NOFILE, &limit);
    few = limit;
    few.rlim_cur = 6;
    pass(ends[0], "few numbers", files, 3);
    setrlimit(RLIMIT_NOFILE, &few);
    n = take(ends[1], 30, sizeof control, 0, got);
    setrlimit(RLIMIT_NOFILE, &limit);
    while (n > 0)
        close(got[--n]);
    files[0] = 999;
    show("no such file", pass(ends[0], "x", files, 1));
    for (int i = 0; i < 300; i++)
        files[i] = 1;
    show("too many", pass(ends[0], "x", files, 254));
    struct iovec piece = {"x", 1};
    struct msghdr bad = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 16};
    ((struct cmsghdr *)control)->cmsg_len = 4;
    show("bad length", sendmsg(ends[0], &bad, 0));
    *(struct cmsghdr *)control = (struct cmsghdr){16, SOL_SOCKET, 77};
    show("unknown kind", sendmsg(ends[0], &bad, 0));
    show("no header", sendmsg(ends[0], (void *)8, 0));
    struct msghdr many = {.msg_iov = &piece, .msg_iovlen = 2000};
    show("too many pieces", sendmsg(ends[0], &many, 0));

    puts("# credentials");
    show("ask", setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, 4));
    (void)!write(ends[0], "hello", 5);
    take(ends[1], 30, sizeof control, 0, got);
    pass(ends[0], "both", &(int){1}, 1);
    n = take(ends[1], 30, sizeof control, 0, got);
    while (n > 0)
        close(got[--n]);
    (void)!write(ends[0], "no room", 7);
    take(ends[1], 30, 20, 0, got);

    puts("# a socket on its own way");
    int own[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, own);
    show("pass", pass(own[0], "itself", &own[1], 1));
    show("pass", pass(own[1], "itself", &own[0], 1));
    close(own[0]);
    close(own[1]);
    for (int i = 0; i < 20; i++) {
        int link[2];
        socketpair(AF_UNIX, SOCK_STREAM, 0, link);
        if (i > 0) {
            pass(link[0], "chain", &own[0], 1);
            close(own[0]);
        }
        own[0] = link[1];
        close(link[0]);
    }
    show("the end of a chain", close(own[0]));

    puts("# several at once");
    int letters[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, letters);
    struct iovec pieces[3] = {{"one", 3}, {"two", 3}, {"three", 5}};
    struct mmsghdr out[3] = {{{.msg_iov = &pieces[0], .msg_iovlen = 1}, 0},
                             {{.msg_iov = &pieces[1], .msg_iovlen = 1}, 0},
                             {{.msg_iov = &pieces[2], .msg_iovlen = 1}, 0}};
    show("send", sendmmsg(letters[0], out, 3, 0));
    printf("%u %u %u\n", out[0].msg_len, out[1].msg_len, out[2].msg_len);
    char places[4][4];
    struct iovec into[4];
    struct mmsghdr in[4];
    memset(in, 0, sizeof in);
    for (int i = 0; i < 4; i++) {
        into[i] = (struct iovec){places[i], 4};
        in[i].msg_hdr.msg_iov = &into[i];
        in[i].msg_hdr.msg_iovlen = 1;
    }
    show("receive", recvmmsg(letters[1], in, 4, MSG_WAITFORONE, NULL));
    printf("%u %u %u%s\n", in[0].msg_len, in[1].msg_len, in[2].msg_len, in[2].msg_hdr.msg_flags & MSG_TRUNC ? " cut" : "");
    show("nothing", recvmmsg(letters[1], in, 4, MSG_DONTWAIT, NULL));
    return 0;
}
