// splice, tee and vmsplice: between files, pipes and sockets; offsets, ends, refusals; and how large a pipe is.
#include "story.h"
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

static char block[300000], back[300000];

static void contents(const char *what, int fd, size_t most) {
    char bytes[64];
    ssize_t len = read(fd, bytes, most);
    printf("%s: %zd \"%.*s\"\n", what, len, len > 0 ? (int)len : 0, bytes);
}

static void between_files_and_pipes(void) {
    int ends[2], file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0644);
    pipe(ends);
    (void)!write(file, "hello, splice", 13);
    loff_t at = 7;
    show("from an offset", splice(file, &at, ends[1], NULL, 6, 0));
    show("where it is then", at);
    show("the file's own position", lseek(file, 0, SEEK_CUR));
    contents("the pipe has", ends[0], 64);
    lseek(file, 0, SEEK_SET);
    show("from the position", splice(file, NULL, ends[1], NULL, 5, 0));
    show("the position then", lseek(file, 0, SEEK_CUR));
    show("to the end and no further", splice(file, NULL, ends[1], NULL, 100, 0));
    show("at the end", splice(file, NULL, ends[1], NULL, 100, 0));
    at = 20;
    show("into a file, at an offset", splice(ends[0], NULL, file, &at, 5, 0));
    show("where it is then", at);
    lseek(file, 0, SEEK_END);
    show("into a file, at its position", splice(ends[0], NULL, file, NULL, 100, 0));
    memset(back, 0, 64);
    show("the file then", pread(file, back, 64, 0));
    printf("%.13s|%.13s\n", back, back + 20);
    show("from an empty pipe", splice(ends[0], NULL, file, NULL, 5, SPLICE_F_NONBLOCK));
    show("an offset in a pipe", splice(ends[0], &at, file, NULL, 5, 0));
    show("between two files", splice(file, NULL, file, NULL, 5, 0));
    show("from a pipe into itself", splice(ends[0], NULL, ends[1], NULL, 5, 0));
    show("from the wrong end", splice(ends[1], NULL, file, NULL, 5, 0));
    show("into the wrong end", splice(file, NULL, ends[0], NULL, 5, 0));
    show("nothing at all", splice(-1, NULL, -1, NULL, 0, 0));
    show("no descriptor", splice(-1, NULL, ends[1], NULL, 5, 0));
    show("an unknown flag", splice(file, NULL, ends[1], NULL, 5, 64));
    int appending = open("file", O_WRONLY | O_APPEND);
    (void)!write(ends[1], "x", 1);
    show("into a file that is appended to", splice(ends[0], NULL, appending, NULL, 5, 0));
    contents("it stays", ends[0], 64);
    int sockets[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
    (void)!write(sockets[0], "from a socket", 13);
    show("from a socket", splice(sockets[1], NULL, ends[1], NULL, 100, 0));
    show("into a socket", splice(ends[0], NULL, sockets[1], NULL, 6, 0));
    contents("the socket has", sockets[0], 64);
    contents("the pipe keeps", ends[0], 64);
    close(ends[1]);
    show("from a pipe that has ended", splice(ends[0], NULL, file, NULL, 5, 0));
    pipe(ends);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    at = 0;
    show("into a pipe that nobody reads", splice(file, &at, ends[1], NULL, 5, 0));
    close(ends[1]);
}

static void copies(void) {
    int one[2], other[2];
    pipe(one);
    pipe(other);
    (void)!write(one[1], "twice", 5);
    show("tee", tee(one[0], other[1], 100, 0));
    contents("the copy", other[0], 64);
    contents("the original", one[0], 64);
    show("tee of nothing", tee(one[0], other[1], 100, SPLICE_F_NONBLOCK));
    show("tee onto itself", tee(one[0], one[1], 100, 0));
    show("tee of a file", tee(open("file", O_RDONLY), other[1], 100, 0));
    (void)!write(one[1], "moved", 5);
    show("from pipe to pipe", splice(one[0], NULL, other[1], NULL, 3, 0));
    contents("arrived", other[0], 64);
    contents("left", one[0], 64);
    struct iovec pieces[2] = {{"from ", 5}, {"memory", 6}};
    show("vmsplice", vmsplice(one[1], pieces, 2, 0));
    char first[5], second[6];
    struct iovec places[2] = {{first, 5}, {second, 6}};
    show("and back", vmsplice(one[0], places, 2, 0));
    printf("%.5s%.6s\n", first, second);
    show("vmsplice of nothing", vmsplice(one[0], places, 2, SPLICE_F_NONBLOCK));
    show("vmsplice of a file", vmsplice(open("file", O_RDWR), pieces, 2, 0));
    show("an unknown flag", vmsplice(one[1], pieces, 2, 64));
}

// A child that fills a pipe slowly, and one that empties it.
static void waiting(void) {
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 7 + i / 251);
    int in[2], out[2];
    pipe(in);
    pipe(out);
    if (fork() == 0) {
        close(in[0]), close(out[0]), close(out[1]);
        for (size_t done = 0; done < sizeof block; done += 10000) {
            (void)!write(in[1], block + done, 10000);
            usleep(500);
        }
        _exit(0);
    }
    if (fork() == 0) {
        close(in[1]), close(out[0]);
        ssize_t len;
        while ((len = splice(in[0], NULL, out[1], NULL, 1 << 20, 0)) > 0)
            ;
        _exit(len == 0 ? 0 : 1);
    }
    close(in[0]), close(in[1]), close(out[1]);
    int file = open("large", O_RDWR | O_CREAT | O_TRUNC, 0644);
    ssize_t len;
    while ((len = splice(out[0], NULL, file, NULL, 1 << 20, 0)) > 0)
        ;
    show("the end", len);
    int status[2];
    wait(&status[0]), wait(&status[1]);
    check("both children succeeded", status[0] == 0 && status[1] == 0);
    show("all arrived", pread(file, back, sizeof back, 0));
    check("unchanged", memcmp(block, back, sizeof block) == 0);
}

static void sizes(void) {
    int ends[2];
    pipe2(ends, O_NONBLOCK);
    show("a pipe's size", fcntl(ends[0], F_GETPIPE_SZ));
    show("smaller", fcntl(ends[0], F_SETPIPE_SZ, 5000));
    show("seen at the other end", fcntl(ends[1], F_GETPIPE_SZ));
    show("it takes", write(ends[1], block, 65536));
    show("no more", write(ends[1], block, 1));
    show("too small for what is in it", fcntl(ends[1], F_SETPIPE_SZ, 4096));
    show("larger", fcntl(ends[1], F_SETPIPE_SZ, 1 << 18));
    show("it takes", write(ends[1], block + 8192, 254000));
    show("all of it", read(ends[0], back, sizeof back));
    check("in order", memcmp(block, back, 8192 + 253952) == 0);
    show("of a file", fcntl(open("file", O_RDONLY), F_GETPIPE_SZ));
    show("to be told of nothing more", fcntl(open(".", O_RDONLY), F_NOTIFY, DN_MULTISHOT));
    show("of a file", fcntl(open("file", O_RDONLY), F_NOTIFY, DN_MULTISHOT));
}

int main(void) {
    enter_story_directory();
    between_files_and_pipes();
    copies();
    waiting();
    sizes();
    return 0;
}
