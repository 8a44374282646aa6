// Plain work: primes, matrices, a checksum, a game of life. The same numbers everywhere.
#include "story.h"

static uint32_t crc(const unsigned char *bytes, size_t count) {
    uint32_t value = 0xffffffff;
    for (size_t i = 0; i < count; i++) {
        value ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (0xedb88320 & -(value & 1));
    }
    return ~value;
}

int main(void) {
    static unsigned char sieve[200000];
    int primes = 0;
    for (unsigned i = 2; i < sizeof sieve; i++) {
        if (sieve[i])
            continue;
        primes++;
        for (unsigned k = 2 * i; k < sizeof sieve; k += i)
            sieve[k] = 1;
    }
    show("primes below 200000", primes);
    printf("checksum of the sieve %08x\n", crc(sieve, sizeof sieve));
    enum { N = 48 };
    static double a[N][N], b[N][N], c[N][N];
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            a[i][k] = 1.0 / (i + k + 1), b[i][k] = i * 0.5 - k;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int m = 0; m < N; m++)
                c[i][k] += a[i][m] * b[m][k];
    printf("matrix %a %a checksum %08x\n", c[0][0], c[N - 1][N - 1], crc((unsigned char *)c, sizeof c));
    static unsigned char world[66][66], next[66][66];
    for (int i = 0; i < 66 * 66; i++)
        world[i / 66][i % 66] = i % 66 && i / 66 && i % 66 < 65 && i / 66 < 65 && (i * 2654435761u) >> 30 == 0;
    for (int step = 0; step < 100; step++) {
        for (int y = 1; y < 65; y++)
            for (int x = 1; x < 65; x++) {
                int n = world[y - 1][x - 1] + world[y - 1][x] + world[y - 1][x + 1] + world[y][x - 1] + world[y][x + 1] +
                        world[y + 1][x - 1] + world[y + 1][x] + world[y + 1][x + 1];
                next[y][x] = n == 3 || (n == 2 && world[y][x]);
            }
        memcpy(world, next, sizeof world);
    }
    int alive = 0;
    for (int i = 0; i < 66 * 66; i++)
        alive += world[i / 66][i % 66];
    printf("alive %d checksum %08x\n", alive, crc((unsigned char *)world, sizeof world));
    uint64_t big = 1;
    for (int i = 0; i < 100000; i++)
        big = (uint64_t)((unsigned __int128)big * 6364136223846793005u % 18446744073709551557u);
    printf("%lu\n", (unsigned long)big);
    return 0;
}
