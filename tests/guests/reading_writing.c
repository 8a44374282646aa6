// Reading and writing files: at the position, at a place, in pieces, at the end, past the end.
#include "story.h"
#include <sys/uio.h>

static void content(const char *name) {
    char text[200] = {0};
    int file = open(name, O_RDONLY);
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    printf("%s has %zd bytes: ", name, count);
    for (ssize_t i = 0; i < count; i++)
        putchar(text[i] ? text[i] : '.');
    putchar('\n');
}

int main(void) {
    enter_story_directory();
    char buffer[100];
    int file = open("file", O_RDWR | O_CREAT | O_EXCL, 0644);
    works("create", file);
    show("create again", open("file", O_RDWR | O_CREAT | O_EXCL, 0644));
    show("write", write(file, "hello world", 11));
    show("at the end", read(file, buffer, 10));
    show("seek to 6", lseek(file, 6, SEEK_SET));
    show("read", read(file, buffer, 100));
    printf("%.5s\n", buffer);
    show("seek back 3", lseek(file, -3, SEEK_CUR));
    show("write there", write(file, "LD!", 3));
    show("seek to the end", lseek(file, 0, SEEK_END));
    show("before the start", lseek(file, -1, SEEK_SET));
    show("an unknown origin", lseek(file, 0, 99));
    content("file");

    show("pwrite", pwrite(file, "WORLD", 5, 6));
    show("pread", pread(file, buffer, 5, 4));
    printf("%.5s\n", buffer);
    show("the position did not move", lseek(file, 0, SEEK_CUR));
    show("pread past the end", pread(file, buffer, 5, 1000));
    show("pread before the start", pread(file, buffer, 5, -1));

    struct iovec pieces[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
    lseek(file, 0, SEEK_SET);
    show("writev", writev(file, pieces, 3));
    char first[3], second[50];
    struct iovec places[2] = {{first, 3}, {second, 50}};
    lseek(file, 0, SEEK_SET);
    show("readv", readv(file, places, 2));
    printf("%.3s|%.9s\n", first, second);
    show("pwritev", pwritev(file, pieces, 3, 20));
    show("preadv", preadv(file, places, 2, 18));
    show("too many pieces", writev(file, pieces, 2000));
    content("file");

    show("write after a gap", pwrite(file, "far", 3, 100000));
    struct stat status;
    fstat(file, &status);
    show("size", status.st_size);
    show("the gap reads", pread(file, buffer, 4, 50000));
    show("as zeroes", buffer[0] | buffer[1] | buffer[2] | buffer[3]);
    show("truncate to 5", ftruncate(file, 5));
    content("file");
    show("extend to 12", ftruncate(file, 12));
    content("file");
    show("truncate by name", truncate("file", 4));
    content("file");
    show("a negative size", ftruncate(file, -1));

    int appending = open("file", O_WRONLY | O_APPEND);
    lseek(appending, 0, SEEK_SET);
    show("append", write(appending, "+one", 4));
    show("position", lseek(appending, 0, SEEK_CUR));
    show("append again", write(appending, "+two", 4));
    content("file");
    int other = open("file", O_RDONLY);
    show("write to a file for reading", write(other, "x", 1));
    show("read from a file for writing", read(appending, buffer, 1));
    show("truncate a file for reading", ftruncate(other, 0));
    show("a closed descriptor", read(77, buffer, 1));
    show("close it", close(77));
    works("open and truncate", open("file", O_WRONLY | O_TRUNC));
    content("file");
    int null = open("/dev/null", O_RDWR);
    show("a hundred bytes to nowhere", write(null, buffer, 100));
    for (int i = 0; i < 3000; i++) {
        int length = snprintf(buffer, sizeof buffer, "line %d of many\n", i);
        if (write(file, buffer, (size_t)length) != length)
            puts("FAIL short write");
    }
    fstat(file, &status);
    show("many small writes", status.st_size);
    show("synchronize", fsync(file));
    show("synchronize data", fdatasync(file));
    return 0;
}
