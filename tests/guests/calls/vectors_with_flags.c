// preadv2, pwritev2: the place -1 is the position, and flags say how.
#include "../story.h"
#include <sys/uio.h>

int main(void) {
    enter_story_directory();
    int file = new_file("file", "0123456789");
    char a[4] = {0};
    struct iovec one[1] = {{a, 4}};
    lseek(file, 2, SEEK_SET);
    SHOW(preadv2(file, one, 1, -1, 0));
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(preadv2(file, one, 1, 0, 0));
    printf("%.4s\n", a);
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(preadv2(file, one, 1, -2, 0));
    SHOW(pwritev2(file, one, 1, -2, 0));
    SHOW(pwritev2(file, one, 1, -1, 0));
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(pwritev2(file, one, 1, 20, RWF_SYNC));
    SHOW(pwritev2(file, one, 1, 24, RWF_DSYNC));
    SHOW(lseek(file, 0, SEEK_END));
    SHOW(preadv2(file, one, 1, 0, 1 << 20));
    SHOW(pwritev2(file, one, 1, 0, 1 << 20));
    SHOW(preadv2(file, one, 1, 0, -1));
    SHOW(preadv2(-1, one, 1, 0, 0));
    SHOW(preadv2(-1, one, 1, 0, -1));
    SHOW(preadv2(file, NOWHERE, 1, 0, 0));
    SHOW(preadv2(file, one, -1, 0, 0));
    SHOW(preadv2(file, one, 0, 0, 0));
    int ends[2];
    pipe(ends);
    SHOW(pwritev2(ends[1], one, 1, -1, 0));
    SHOW(preadv2(ends[0], one, 1, -1, 0));
    SHOW(pwritev2(ends[1], one, 1, 0, 0));
    SHOW(preadv2(ends[0], one, 1, 0, 0));
    SHOW(preadv2(open("file", O_WRONLY), one, 1, 0, 0));
    SHOW(pwritev2(open("file", O_RDONLY), one, 1, 0, 0));
    return 0;
}
