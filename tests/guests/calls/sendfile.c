// sendfile, copy_file_range: from where to where, and what cannot be a source or a target.
#include "../story.h"
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

int main(void) {
    enter_story_directory();
    char buffer[64] = {0};
    int from = new_file("from", "0123456789"), to = new_file("to", ""), ends[2], sockets[2];
    pipe(ends);
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    off_t place = 2;
    SHOW(sendfile(to, from, &place, 5));
    SHOW(place);
    SHOW(lseek(from, 0, SEEK_CUR));
    SHOW(lseek(to, 0, SEEK_CUR));
    lseek(from, 8, SEEK_SET);
    SHOW(sendfile(to, from, NULL, 5));
    SHOW(lseek(from, 0, SEEK_CUR));
    SHOW(sendfile(to, from, NULL, 5));
    SHOW(sendfile(to, from, NULL, 0));
    SHOW(pread(to, buffer, 10, 0));
    puts(buffer);
    place = 0;
    SHOW(sendfile(ends[1], from, &place, 4));
    SHOW(sendfile(sockets[1], from, &place, 4));
    SHOW(read(ends[0], buffer, 10));
    SHOW(read(sockets[0], buffer, 10));
    SHOW(sendfile(to, ends[0], NULL, 4));
    SHOW(sendfile(to, sockets[0], NULL, 4));
    place = -1;
    SHOW(sendfile(to, from, &place, 4));
    place = 100;
    SHOW(sendfile(to, from, &place, 4));
    SHOW(sendfile(to, from, NOWHERE, 4));
    SHOW(sendfile(-1, from, NULL, 4));
    SHOW(sendfile(to, -1, NULL, 4));
    SHOW(sendfile(open("to", O_RDONLY), from, NULL, 4));
    SHOW(sendfile(to, open("from", O_WRONLY), NULL, 4));
    SHOW(sendfile(open("to", O_WRONLY | O_APPEND), from, NULL, 4));
    SHOW(sendfile(to, open(".", O_RDONLY), NULL, 4));
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    place = 0;
    SHOW(sendfile(ends[1], from, &place, 4));

    SHOW(ftruncate(to, 0));
    off_t in = 1, out = 5;
    SHOW(copy_file_range(from, &in, to, &out, 4, 0));
    printf("%ld %ld\n", (long)in, (long)out);
    in = 8;
    SHOW(copy_file_range(from, &in, to, &out, 100, 0));
    SHOW(copy_file_range(from, &in, to, &out, 100, 0));
    SHOW(lseek(to, 0, SEEK_END));
    lseek(from, 0, SEEK_SET);
    SHOW(copy_file_range(from, NULL, to, NULL, 3, 0));
    SHOW(lseek(from, 0, SEEK_CUR));
    SHOW(copy_file_range(from, &in, to, &out, 4, 1));
    SHOW(copy_file_range(-1, &in, to, &out, 4, 0));
    SHOW(copy_file_range(from, &in, -1, &out, 4, 0));
    SHOW(copy_file_range(open("from", O_WRONLY), NULL, to, NULL, 4, 0));
    SHOW(copy_file_range(from, NULL, open("to", O_RDONLY), NULL, 4, 0));
    SHOW(copy_file_range(from, NULL, open("to", O_WRONLY | O_APPEND), NULL, 4, 0));
    SHOW(copy_file_range(open(".", O_RDONLY), NULL, to, NULL, 4, 0));
    SHOW(copy_file_range(ends[1], NULL, to, NULL, 4, 0));
    SHOW(copy_file_range(from, NULL, ends[1], NULL, 4, 0));
    in = 0;
    SHOW(copy_file_range(from, NOWHERE, to, NULL, 4, 0));
    // Within a file, as long as the two do not overlap.
    in = 0, out = 2;
    SHOW(copy_file_range(from, &in, from, &out, 4, 0));
    in = 0, out = 20;
    SHOW(copy_file_range(from, &in, from, &out, 4, 0));
    return 0;
}
