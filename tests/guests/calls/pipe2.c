// pipe, pipe2: flags, ends, atomic writes, and how much fits.
#include "../story.h"
#include <signal.h>
#include <sys/ioctl.h>

int main(void) {
    close_range(3, ~0u, 0);
    int ends[2] = {-7, -7};
    SHOW(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    SHOW(fcntl(ends[0], F_GETFD));
    SHOW(fcntl(ends[1], F_GETFL));
    SHOW(pipe2(ends, O_APPEND));
    SHOW(pipe2(ends, 0x8));
    SHOW(syscall(SYS_pipe, NOWHERE));
    SHOW(syscall(SYS_pipe2, NOWHERE, 0));
    SHOW(syscall(SYS_pipe2, NULL, O_CLOEXEC));
    SHOW(pipe(ends));
    CHECK(ends[0] == 5 && ends[1] == 6);
    SHOW(fcntl(ends[1], F_GETPIPE_SZ));
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    static char piece[70000];
    // More than a page is written as far as it fits; up to a page all or nothing.
    SHOW(write(ends[1], piece, 63000));
    SHOW(write(ends[1], piece, 4096));
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    long total = 0;
    for (ssize_t count; (count = read(ends[0], piece, sizeof piece)) > 0;)
        total += count;
    CHECK(total >= 63000 && total <= 65536);
    SHOW(read(ends[0], piece, 1));
    SHOW(write(ends[1], piece, sizeof piece));
    SHOW(write(ends[1], piece, 1));
    return 0;
}
