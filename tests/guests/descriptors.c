// Descriptors: the lowest is taken, copies share a position, flags belong to one or to all, and there is a limit.
#include "story.h"
#include <sys/resource.h>

int main(void) {
    enter_story_directory();
    for (int i = 3; i < 100; i++)
        close(i);
    int file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    show("the first is", file);
    (void)!write(file, "0123456789", 10);
    show("dup", dup(file));
    lseek(file, 3, SEEK_SET);
    show("a copy shares its position", lseek(4, 0, SEEK_CUR));
    show("another open does not", lseek(open("file", O_RDONLY), 0, SEEK_CUR));
    show("dup2", dup2(file, 20));
    show("dup2 onto itself", dup2(file, file));
    show("dup2 of nothing", dup2(77, 20));
    show("dup2 to a bad number", dup2(file, -1));
    show("dup3", dup3(file, 21, O_CLOEXEC));
    show("dup3 onto itself", dup3(file, file, 0));
    show("its flag", fcntl(21, F_GETFD));
    show("the flag of dup2", fcntl(20, F_GETFD));
    close(4);
    show("the lowest is taken again", dup(file));
    show("from thirty on", fcntl(file, F_DUPFD, 30));
    show("from thirty on again", fcntl(file, F_DUPFD_CLOEXEC, 30));
    show("its flag", fcntl(31, F_GETFD));
    show("set the flag", fcntl(file, F_SETFD, FD_CLOEXEC));
    show("read it", fcntl(file, F_GETFD));
    show("the copy has its own", fcntl(4, F_GETFD));
    show("flags", fcntl(file, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
    show("set append", fcntl(file, F_SETFL, O_APPEND));
    show("the copy has it too", fcntl(4, F_GETFL) & (O_ACCMODE | O_APPEND));
    (void)!write(file, "end", 3);
    show("it is appended", lseek(file, 0, SEEK_CUR));
    show("access mode cannot change", fcntl(file, F_SETFL, O_WRONLY) == 0 ? (fcntl(file, F_GETFL) & O_ACCMODE) : -1);
    show("an unknown command", fcntl(file, 9999));
    show("of a closed one", fcntl(77, F_GETFL));
    show("closed when closed", close(20));
    show("closed twice", close(20));
    show("close on exec at opening", fcntl(open("file", O_RDONLY | O_CLOEXEC), F_GETFD));

    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    check("a limit of at least 1024", limit.rlim_cur >= 1024);
    limit.rlim_cur = 50;
    show("lower the limit", setrlimit(RLIMIT_NOFILE, &limit));
    int count = 0;
    while (open("file", O_RDONLY) >= 0)
        count++;
    show("then no more", open("file", O_RDONLY));
    show("beyond the limit", dup2(file, 50));
    show("and dup", dup(file));
    check("some were opened", count > 30 && count < 50);
    show("close a range", close_range(10, 49, 0));
    show("they are closed", fcntl(10, F_GETFD));
    show("and there is room", open("file", O_RDONLY));
    return 0;
}
