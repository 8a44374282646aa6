// The C library's heap: small and large blocks, growing, shrinking, aligned, freed in any order.
#include "story.h"
#include <malloc.h>

static uint32_t state = 12345;
static uint32_t next(void) { return state = state * 1664525u + 1013904223u; }

int main(void) {
    enum { COUNT = 400 };
    unsigned char *blocks[COUNT] = {0};
    size_t sizes[COUNT] = {0};
    int wrong = 0;
    for (int round = 0; round < 8000; round++) {
        unsigned i = next() % COUNT;
        for (size_t k = 0; k < sizes[i]; k += 61)
            wrong += blocks[i][k] != (unsigned char)i;
        if (next() % 4 == 0) {
            free(blocks[i]);
            blocks[i] = NULL;
            sizes[i] = 0;
        } else {
            size_t size = next() % (next() % 50 == 0 ? 200000 : 3000) + 1;
            blocks[i] = realloc(blocks[i], size);
            memset(blocks[i], (int)i, size);
            sizes[i] = size;
        }
    }
    show("wrong bytes", wrong);
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);

    unsigned char *zeroed = calloc(300, 1000);
    int bits = 0;
    for (int i = 0; i < 300000; i++)
        bits |= zeroed[i];
    show("calloc gives zeroes", bits);
    free(zeroed);

    for (size_t alignment = 16; alignment <= 65536; alignment *= 8) {
        void *block = aligned_alloc(alignment, alignment * 2);
        printf("aligned to %zu: %d\n", alignment, ((uintptr_t)block & (alignment - 1)) == 0);
        free(block);
    }
    char *large = malloc(24 << 20);
    large[0] = 1;
    large[(24 << 20) - 1] = 2;
    large = realloc(large, 36 << 20);
    printf("a large block keeps its bytes: %d %d\n", large[0], large[(24 << 20) - 1]);
    free(large);
    errno = 0;
    void *volatile absurd = malloc((size_t)1 << 62);
    show("an absurd size", absurd == NULL ? -1 : 0);
    malloc_trim(0);
    show("nothing asked, something given", malloc(0) != NULL);
    return wrong;
}
