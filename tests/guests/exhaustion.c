// Takes memory until there is no more: by the library until it says no, or by touching every page.
#include "story.h"

int main(int argc, char **argv) {
    const char *way = argc > 1 ? argv[1] : "refused";
    size_t most = argc > 2 ? (size_t)atol(argv[2]) << 20 : (size_t)1 << 30;
    size_t total = 0;
    enum { PIECE = 1 << 20 };
    while (total < most) {
        char *piece = strcmp(way, "refused") == 0
                          ? malloc(PIECE)
                          : mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (piece == NULL || piece == MAP_FAILED) {
            printf("%s after %zu MiB\n", strerrorname_np(errno), total >> 20);
            return 12;
        }
        for (size_t i = 0; i < PIECE; i += 4096)
            piece[i] = 1;
        total += PIECE;
        if (total >> 20 <= 8 || total % (16 << 20) == 0)
            fprintf(stderr, "%zu MiB\n", total >> 20);
    }
    printf("%zu MiB\n", total >> 20);
    return 0;
}
