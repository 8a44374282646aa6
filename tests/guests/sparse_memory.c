// Much address space, little memory: four gigabytes reserved, a page here and there, and sixteen megabytes in full.
#include "story.h"
#include <sys/resource.h>

int main(void) {
    size_t size = (size_t)4 << 30;
    unsigned char *reserved =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    works("reserve", reserved == MAP_FAILED ? -1 : 0);
    for (size_t i = 0; i < 256; i++)
        reserved[i * (size / 256) + i] = (unsigned char)i;
    unsigned sum = 0;
    for (size_t i = 0; i < 256; i++)
        sum += reserved[i * (size / 256) + i] + reserved[i * (size / 256) + i + 4096];
    show("sum", sum);
    munmap(reserved, size);

    size_t full = (size_t)16 << 20;
    unsigned char *memory = malloc(full);
    for (size_t i = 0; i < full; i += 512)
        memory[i] = (unsigned char)(i >> 9);
    uint64_t hash = 0;
    for (size_t i = 0; i < full; i += 512)
        hash = hash * 31 + memory[i];
    printf("hash %#lx\n", (unsigned long)hash);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    check("it is counted", usage.ru_maxrss >= 16 << 10 && usage.ru_maxrss < 4 << 20);
    // Forbidden memory costs nothing, however much of it.
    void *none = mmap(NULL, (size_t)1 << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    works("a terabyte of nothing", none == MAP_FAILED ? -1 : 0);
    return 0;
}
