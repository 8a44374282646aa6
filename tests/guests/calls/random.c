// getrandom: how much, how random, and where to.
#include "../story.h"
#include <sys/random.h>

int main(void) {
    unsigned char a[256] = {0}, b[256] = {0};
    SHOW(getrandom(a, sizeof a, 0));
    SHOW(getrandom(b, sizeof b, GRND_NONBLOCK));
    CHECK(memcmp(a, b, sizeof a) != 0);
    int seen[256] = {0}, different = 0;
    for (int i = 0; i < 256; i++)
        different += seen[a[i]]++ == 0;
    CHECK(different > 100);
    SHOW(getrandom(a, 16, GRND_RANDOM));
    SHOW(getrandom(a, 16, 4));
    SHOW(getrandom(a, 0, 0));
    SHOW(getrandom(NOWHERE, 0, 0));
    SHOW(getrandom(NOWHERE, 16, 0));
    SHOW(getrandom(a, 16, 8));
    SHOW(getrandom(a, 16, GRND_RANDOM | 4));
    SHOW(getrandom(a, 16, -1));
    char *end = before_the_end(10);
    SHOW(getrandom(end, 10, 0));
    long count = getrandom(end, 20, 0);
    check("ten or none", count == 10 || (count == -1 && errno == EFAULT));
    static char large[100000];
    SHOW(getrandom(large, sizeof large, 0));
    return 0;
}
