// Sockets that are sent to each other and closed, so that nobody can receive them: they go, with what is in their queues, and those that
// somebody can still receive stay.
#include "story.h"
#include <sys/socket.h>
#include <sys/un.h>

// More files than may be on their way at once.
enum { ROUNDS = 30, FILES = 40 };

static long pass_several(int to, int file, int count) {
    char control[CMSG_SPACE(FILES * sizeof(int))] = {0}, byte = 'x';
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE((unsigned)count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((unsigned)count * sizeof(int));
    for (int i = 0; i < count; i++)
        memcpy(CMSG_DATA(header) + (unsigned)i * sizeof file, &file, sizeof file);
    return sendmsg(to, &message, 0);
}

static long pass(int to, int file) {
    return pass_several(to, file, 1);
}

static int take(int from) {
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte;
    struct iovec bytes = {&byte, 1};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int file = -1;
    if (recvmsg(from, &message, 0) == 1 && CMSG_FIRSTHDR(&message) != NULL)
        memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof file);
    return file;
}

// Whether the other end of a pipe is closed: nobody has what was to be written to.
static int is_over(int pipe_end) {
    char byte;
    for (int i = 0; i < 2000; i++) {
        ssize_t len = read(pipe_end, &byte, 1);
        if (len == 0)
            return 1;
        usleep(1000);
    }
    return 0;
}

static void itself(int kind) {
    int failed = 0;
    for (int i = 0; i < ROUNDS && failed == 0; i++) {
        int ends[2];
        socketpair(AF_UNIX, kind, 0, ends);
        failed = pass_several(ends[0], ends[1], FILES) != 1 ? errno : 0;
        close(ends[0]);
        close(ends[1]);
    }
    printf("kind %d: ", kind);
    show("each in its own queue", failed);
}

static void each_other(void) {
    int failed = 0;
    for (int i = 0; i < ROUNDS && failed == 0; i++) {
        int first[2], second[2], third[2];
        socketpair(AF_UNIX, SOCK_STREAM, 0, first);
        socketpair(AF_UNIX, SOCK_DGRAM, 0, second);
        socketpair(AF_UNIX, SOCK_SEQPACKET, 0, third);
        if (pass_several(first[0], second[1], FILES) != 1 || pass(second[0], third[1]) != 1 || pass(third[0], first[1]) != 1)
            failed = errno;
        for (int end = 0; end < 2; end++)
            close(first[end]), close(second[end]), close(third[end]);
    }
    show("three in a circle", failed);
}

static void what_hangs_on_it(void) {
    int ends[2], line[2];
    pipe2(line, O_NONBLOCK);
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    pass(ends[0], line[1]);
    pass(ends[0], ends[1]);
    close(line[1]);
    close(ends[1]);
    char byte;
    show("still held", read(line[0], &byte, 1));
    close(ends[0]);
    check("what was with it is closed too", is_over(line[0]));
    close(line[0]);
}

static void not_accepted(void) {
    struct sockaddr_un here = {.sun_family = AF_UNIX};
    snprintf(here.sun_path + 1, sizeof here.sun_path - 1, "circles-%d", getpid());
    int line[2], listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0), other[2];
    pipe2(line, O_NONBLOCK);
    bind(listener, (void *)&here, sizeof here);
    listen(listener, 5);
    connect(client, (void *)&here, sizeof here);
    pass(client, line[1]);
    pass(client, listener);
    close(line[1]);
    close(listener);
    close(client);
    socketpair(AF_UNIX, SOCK_STREAM, 0, other);
    close(other[0]);
    close(other[1]);
    check("a listener that nobody can accept from", is_over(line[0]));
    close(line[0]);
}

static void still_there(void) {
    int outer[2], inner[2], other[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, outer);
    socketpair(AF_UNIX, SOCK_STREAM, 0, inner);
    write(inner[0], "inside", 6);
    pass(inner[0], inner[1]);
    pass(outer[0], inner[1]);
    close(inner[0]);
    close(inner[1]);
    for (int i = 0; i < 10; i++) {
        socketpair(AF_UNIX, SOCK_STREAM, 0, other);
        close(other[0]);
        close(other[1]);
    }
    int found = take(outer[1]);
    char text[16] = {0};
    show("received", read(found, text, 6));
    printf("%s\n", text);
    int itself = take(found);
    struct stat first, second;
    fstat(found, &first);
    fstat(itself, &second);
    check("and itself", itself >= 0 && first.st_ino == second.st_ino);
    close(found);
    close(itself);
    close(outer[0]);
    close(outer[1]);
}

int main(void) {
    itself(SOCK_STREAM);
    itself(SOCK_DGRAM);
    itself(SOCK_SEQPACKET);
    each_other();
    what_hangs_on_it();
    not_accepted();
    still_there();
    return 0;
}
