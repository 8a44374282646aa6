// ioctl of any file: FIONREAD, FIONBIO, FIOASYNC, FIOCLEX; and what is no terminal.
#include "../story.h"
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789"), number = -5;
    SHOW(ioctl(file, FIONREAD, &number));
    SHOW(number);
    lseek(file, 4, SEEK_SET);
    SHOW(ioctl(file, FIONREAD, &number));
    SHOW(number);
    SHOW(ioctl(file, FIONREAD, NOWHERE));
    SHOW(ioctl(-1, FIONREAD, &number));
    SHOW(ioctl(open("file", O_PATH), FIONREAD, &number));
    SHOW(ioctl(file, TCGETS, &number));
    SHOW(ioctl(file, TIOCGWINSZ, &number));
    SHOW(ioctl(file, 0x12345678, &number));
    SHOW(ioctl(open(".", O_RDONLY), TCGETS, &number));
    int ends[2], sockets[2];
    pipe(ends);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    write(ends[1], "12345", 5);
    write(sockets[1], "123", 3);
    SHOW(ioctl(ends[0], FIONREAD, &number));
    SHOW(number);
    SHOW(ioctl(ends[1], FIONREAD, &number));
    SHOW(number);
    SHOW(ioctl(sockets[0], FIONREAD, &number));
    SHOW(number);
    SHOW(ioctl(ends[0], TCGETS, &number));
    SHOW(ioctl(sockets[0], TCGETS, &number));
    SHOW(ioctl(ends[0], FIONREAD, NOWHERE));
    number = 1;
    SHOW(ioctl(ends[0], FIONBIO, &number));
    SHOW(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    SHOW(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    number = 0;
    SHOW(ioctl(ends[0], FIONBIO, &number));
    SHOW(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    SHOW(ioctl(ends[0], FIONBIO, NOWHERE));
    SHOW(ioctl(ends[0], FIOCLEX));
    SHOW(fcntl(ends[0], F_GETFD));
    SHOW(ioctl(ends[0], FIONCLEX));
    SHOW(fcntl(ends[0], F_GETFD));
    number = 1;
    SHOW(ioctl(sockets[0], FIOASYNC, &number));
    SHOW(fcntl(sockets[0], F_GETFL) & O_ASYNC);
    SHOW(ioctl(eventfd(3, 0), TCGETS, &number));
    SHOW(ioctl(open("/dev/null", O_RDWR), TCGETS, &number));
    SHOW(isatty(ends[0]));
    return 0;
}
