// readv, writev, preadv, pwritev: lists that are too long, lengths that add up to too much, and pieces that are not there.
#include "../story.h"
#include <sys/uio.h>

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789abcdefghij");
    char a[4], b[4];
    struct iovec two[2] = {{a, 4}, {b, 4}};
    lseek(file, 0, SEEK_SET);
    SHOW(readv(file, two, 2));
    printf("%.4s %.4s\n", a, b);
    SHOW(readv(file, two, 0));
    SHOW(readv(file, NOWHERE, 0));
    SHOW(readv(file, NOWHERE, 1));
    SHOW(readv(file, two, -1));
    SHOW(readv(file, two, 1025));
    SHOW(readv(-1, two, 2));
    SHOW(lseek(file, 0, SEEK_CUR));

    struct iovec empty[3] = {{NOWHERE, 0}, {a, 4}, {NULL, 0}};
    SHOW(readv(file, empty, 3));
    struct iovec huge[2] = {{a, (size_t)-1}, {b, 4}};
    SHOW(readv(file, huge, 2));
    SHOW(writev(file, huge, 2));
    // Only what a size may be at all is refused; the sum is cut.
    struct iovec bad[2] = {{a, 4}, {NOWHERE, 4}};
    SHOW(preadv(file, bad, 2, 0));
    struct iovec worse[2] = {{NOWHERE, 4}, {a, 4}};
    SHOW(preadv(file, worse, 2, 0));
    SHOW(pwritev(file, worse, 2, 0));
    long count = pwritev(file, bad, 2, 0);
    check("the first piece or none", count == 4 || (count == -1 && errno == EFAULT));

    struct iovec *many = calloc(1024, sizeof *many);
    for (int i = 0; i < 1024; i++)
        many[i] = (struct iovec){"x", 1};
    SHOW(pwritev(file, many, 1024, 0));
    SHOW(pwritev(file, many, 1025, 0));
    SHOW(lseek(file, 0, SEEK_END));
    struct iovec *end = (void *)before_the_end(sizeof *end);
    *end = (struct iovec){a, 4};
    SHOW(preadv(file, end, 1, 0));
    SHOW(preadv(file, end, 2, 0));

    SHOW(preadv(file, two, 2, -1));
    SHOW(pwritev(file, two, 2, -1));
    SHOW(preadv(file, two, 2, INT64_MAX));
    SHOW(preadv(file, two, 2, 1022));
    SHOW(preadv(file, two, 2, 5000));
    SHOW(readv(open("file", O_WRONLY), two, 2));
    SHOW(writev(open("file", O_RDONLY), two, 2));
    SHOW(readv(open(".", O_RDONLY), two, 2));
    int ends[2];
    pipe(ends);
    SHOW(preadv(ends[0], two, 2, 0));
    SHOW(pwritev(ends[1], two, 2, 0));
    SHOW(writev(ends[1], two, 2));
    SHOW(writev(ends[1], empty, 1));
    SHOW(readv(ends[0], two, 2));
    SHOW(writev(open("/dev/null", O_WRONLY), many, 1024));
    SHOW(readv(open("/dev/zero", O_RDONLY), two, 2));
    SHOW(readv(open("/dev/null", O_RDONLY), two, 2));
    return 0;
}
