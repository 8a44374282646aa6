// Random bytes from the kernel: as many as asked, never the same, and balanced.
#include "story.h"
#include <sys/random.h>

int main(void) {
    unsigned char one[256], two[256];
    show("getrandom", getrandom(one, sizeof one, 0));
    show("getrandom", getrandom(two, sizeof two, GRND_NONBLOCK));
    check("different", memcmp(one, two, sizeof one) != 0);
    show("nothing", getrandom(one, 0, 0));
    show("from the other source", getrandom(one, 16, GRND_RANDOM));
    show("an unknown flag", getrandom(one, 16, 0x1000));
    show("to a bad address", getrandom((void *)16, 16, 0));
    static unsigned char sample[65536];
    size_t have = 0;
    for (ssize_t count; have < sizeof sample && (count = getrandom(sample + have, sizeof sample - have, 0)) > 0;)
        have += (size_t)count;
    unsigned counts[256] = {0};
    for (size_t i = 0; i < have; i++)
        counts[sample[i]]++;
    int is_even = have == sizeof sample;
    for (int i = 0; i < 256; i++)
        is_even &= counts[i] > 130 && counts[i] < 400;
    check("every value about as often", is_even);
    show("getentropy", getentropy(one, 100));
    show("too much", getentropy(one, 257));
    return 0;
}
