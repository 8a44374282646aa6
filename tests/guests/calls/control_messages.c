// Control messages: descriptors and credentials, too little room for them, and what is none.
#include "../story.h"
#include <sys/socket.h>

static char byte = 'x';
static struct iovec one = {&byte, 1};
static _Alignas(struct cmsghdr) char control[256];

static long send_files(int socket, int count, const int *files) {
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN((size_t)count * sizeof(int))};
    memcpy(CMSG_DATA(header), files, (size_t)count * sizeof(int));
    return sendmsg(socket, &message, 0);
}

static void receive(int socket, size_t room, int flags) {
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    memset(control, 0, sizeof control);
    long result = recvmsg(socket, &message, flags);
    printf("  received %ld, flags %#x, control %zu\n", result, message.msg_flags, message.msg_controllen);
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL && header->cmsg_len > 0; header = CMSG_NXTHDR(&message, header)) {
        size_t len = header->cmsg_len - CMSG_LEN(0);
        printf("  type %d, %zu bytes", header->cmsg_type, len);
        if (header->cmsg_type == SCM_RIGHTS) {
            int *files = (void *)CMSG_DATA(header);
            for (size_t i = 0; i < len / 4; i++)
                printf(", close on exec %d", fcntl(files[i], F_GETFD));
            for (size_t i = 0; i < len / 4; i++)
                close(files[i]);
        } else {
            struct ucred *who = (void *)CMSG_DATA(header);
            printf(", %s", who->pid == getpid() && who->uid == getuid() && who->gid == getgid() ? "me" : "FAIL");
        }
        puts("");
    }
}

int main(void) {
    int pair[2], files[4] = {0, 1, 2, 0};
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    SHOW(send_files(pair[0], 1, files));
    receive(pair[1], sizeof control, 0);
    SHOW(send_files(pair[0], 3, files));
    receive(pair[1], sizeof control, MSG_CMSG_CLOEXEC);
    SHOW(send_files(pair[0], 3, files));
    receive(pair[1], CMSG_SPACE(sizeof(int)), 0);
    SHOW(send_files(pair[0], 1, files));
    receive(pair[1], 0, 0);
    SHOW(send_files(pair[0], 1, files));
    receive(pair[1], sizeof(struct cmsghdr) - 1, 0);
    SHOW(send_files(pair[0], 1, files));
    receive(pair[1], CMSG_LEN(sizeof(int)), 0);
    int bad = 77;
    SHOW(send_files(pair[0], 1, &bad));
    SHOW(send_files(pair[0], 0, files));
    receive(pair[1], sizeof control, 0);

    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 32};
    struct cmsghdr *header = (void *)control;
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = 8};
    SHOW(sendmsg(pair[0], &message, 0));
    header->cmsg_len = 100;
    SHOW(sendmsg(pair[0], &message, 0));
    header->cmsg_len = CMSG_LEN(4);
    header->cmsg_type = 99;
    SHOW(sendmsg(pair[0], &message, 0));
    message.msg_control = NOWHERE;
    SHOW(sendmsg(pair[0], &message, 0));

    int yes = 1;
    SHOW(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes));
    SHOW(send(pair[0], "x", 1, 0));
    receive(pair[1], sizeof control, 0);
    SHOW(send_files(pair[0], 1, files));
    receive(pair[1], sizeof control, 0);
    return 0;
}
