// fcntl: descriptors and their flags, of every kind of file.
#include "../story.h"
#include <sys/resource.h>
#include <sys/socket.h>

int main(void) {
    enter_story_directory();
    int file = new_file("file", "text");
    int copy = fcntl(file, F_DUPFD, 100);
    show("the copy", copy);
    SHOW(fcntl(file, F_DUPFD, 100));
    SHOW(fcntl(file, F_DUPFD_CLOEXEC, 100));
    SHOW(fcntl(102, F_GETFD));
    SHOW(fcntl(100, F_GETFD));
    SHOW(fcntl(file, F_DUPFD, -1));
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    SHOW(fcntl(file, F_DUPFD, limit.rlim_cur));
    SHOW(fcntl(-1, F_DUPFD, 0));
    SHOW(fcntl(file, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(file, F_GETFD));
    SHOW(fcntl(file, F_SETFD, 0xfffffffe));
    SHOW(fcntl(file, F_GETFD));
    SHOW(fcntl(-1, F_SETFD, 0));

    SHOW(fcntl(file, F_GETFL) & ~O_LARGEFILE & ~0100000);
    SHOW(fcntl(file, F_SETFL, O_APPEND | O_NONBLOCK));
    SHOW(fcntl(copy, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE));
    SHOW(fcntl(file, F_SETFL, O_WRONLY | O_CREAT | O_TRUNC));
    SHOW(fcntl(copy, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE | O_CREAT | O_TRUNC));
    SHOW(lseek(file, 0, SEEK_END));
    SHOW(fcntl(file, F_SETFL, O_NOATIME) == 0 && (fcntl(file, F_GETFL) & O_NOATIME) != 0);
    SHOW(fcntl(open("file", O_RDONLY | O_APPEND), F_GETFL) & (O_APPEND | O_ACCMODE));
    SHOW(fcntl(open("file", O_WRONLY | O_CREAT | O_NONBLOCK, 0644), F_GETFL) & (O_NONBLOCK | O_CREAT | O_ACCMODE));
    int path = open("file", O_PATH);
    SHOW((fcntl(path, F_GETFL) & O_PATH) != 0);
    SHOW(fcntl(path, F_SETFL, O_APPEND));
    SHOW(fcntl(path, F_GETFD));
    SHOW(fcntl(path, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(path, F_DUPFD, 110));
    SHOW(fcntl(path, F_GETLK, NULL));
    SHOW((fcntl(open(".", O_RDONLY | O_DIRECTORY), F_GETFL) & O_DIRECTORY) != 0);

    int ends[2], sockets[2];
    pipe(ends);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    SHOW(fcntl(ends[0], F_GETFL));
    SHOW(fcntl(ends[1], F_GETFL));
    SHOW(fcntl(sockets[0], F_GETFL));
    SHOW(fcntl(sockets[0], F_SETFL, O_NONBLOCK));
    SHOW(fcntl(sockets[0], F_GETFL));
    SHOW(fcntl(sockets[1], F_GETFL));
    SHOW(fcntl(file, 9999));
    SHOW(fcntl(file, -1));
    SHOW(fcntl(-1, 9999));
    SHOW(fcntl(-1, F_GETFL));
    return 0;
}
