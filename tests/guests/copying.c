// Copying without a buffer: sendfile and copy_file_range, or an honest refusal.
#include "story.h"
#include <sys/sendfile.h>

static unsigned long sum(const char *name) {
    unsigned long hash = 5381;
    unsigned char piece[4096];
    int file = open(name, O_RDONLY);
    for (ssize_t count; (count = read(file, piece, sizeof piece)) > 0;)
        for (ssize_t i = 0; i < count; i++)
            hash = hash * 33 + piece[i];
    close(file);
    return hash;
}

int main(void) {
    enter_story_directory();
    int from = open("from", O_RDWR | O_CREAT, 0644);
    for (int i = 0; i < 2000; i++)
        dprintf(from, "%d\n", i * i % 1000);
    off_t size = lseek(from, 0, SEEK_END);
    int to = open("to", O_RDWR | O_CREAT, 0644);
    off_t offset = 0;
    long total = 0;
    for (ssize_t count; (count = sendfile(to, from, &offset, 1 << 20)) > 0;)
        total += count;
    show("sendfile", total == size);
    show("offset", offset == size);
    show("the same bytes", sum("from") == sum("to"));
    lseek(from, 100, SEEK_SET);
    show("from the position", sendfile(to, from, NULL, 50));
    show("which moved", lseek(from, 0, SEEK_CUR));
    int ranged = open("ranged", O_RDWR | O_CREAT, 0644);
    off_t source = 10, target = 5;
    ssize_t copied = copy_file_range(from, &source, ranged, &target, 1000, 0);
    // Old kernels and some file systems have none; then programs copy by hand.
    check("copy_file_range", copied == 1000 || errno == ENOSYS || errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL);
    if (copied != 1000) {
        char piece[1000];
        pread(from, piece, 1000, 10);
        pwrite(ranged, piece, 1000, 5);
    }
    show("size", lseek(ranged, 0, SEEK_END));
    show("sendfile to nothing", sendfile(77, from, NULL, 10));
    return 0;
}
