// Standard output and standard error are two streams, each in its own order.
#include "story.h"

int main(void) {
    for (int i = 0; i < 300; i++) {
        dprintf(1, "output %d\n", i);
        dprintf(2, "error %d\n", i);
    }
    return 0;
}
