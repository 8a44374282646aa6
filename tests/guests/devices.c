// The devices that every program may expect.
#include "story.h"

int main(void) {
    char buffer[64];
    int null = open("/dev/null", O_RDWR);
    show("null takes everything", write(null, buffer, 64));
    show("and gives nothing", read(null, buffer, 64));
    int zero = open("/dev/zero", O_RDWR);
    memset(buffer, 'x', 64);
    show("zero gives", read(zero, buffer, 64));
    int bits = 0;
    for (int i = 0; i < 64; i++)
        bits |= buffer[i];
    show("only zeroes", bits);
    show("and takes", write(zero, buffer, 64));
    char *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    show("and can be mapped", mapped == MAP_FAILED ? -1 : mapped[100]);
    int full = open("/dev/full", O_RDWR);
    show("full gives", read(full, buffer, 64));
    show("but takes nothing", write(full, buffer, 64));
    const char *sources[] = {"/dev/random", "/dev/urandom"};
    for (int i = 0; i < 2; i++) {
        unsigned char one[32], two[32];
        int file = open(sources[i], O_RDONLY);
        show(sources[i], read(file, one, 32));
        show(sources[i], read(file, two, 32));
        check("gives something new every time", memcmp(one, two, 32) != 0);
        close(file);
    }
    static unsigned char sample[65536];
    int random = open("/dev/urandom", O_RDONLY);
    size_t have = 0;
    for (ssize_t count; have < sizeof sample && (count = read(random, sample + have, sizeof sample - have)) > 0;)
        have += (size_t)count;
    long ones = 0;
    for (size_t i = 0; i < have; i++)
        ones += __builtin_popcount(sample[i]);
    check("half of many bits are set", have == sizeof sample && labs(ones - 262144) < 4000);
    struct stat status;
    const char *names[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
    for (int i = 0; i < 5; i++) {
        stat(names[i], &status);
        printf("%s: character device %d, %u:%u, mode %o\n", names[i], S_ISCHR(status.st_mode),
               (unsigned)(status.st_rdev >> 8), (unsigned)(status.st_rdev & 255), status.st_mode & 0666);
    }
    char target[100] = {0};
    (void)!readlink("/dev/fd", target, 99);
    printf("/dev/fd is %s\n", target);
    int standard = open("/dev/stdout", O_WRONLY | O_APPEND);
    fflush(stdout);
    if (standard < 0 || write(standard, "through /dev/stdout\n", 20) != 20)
        printf("FAIL /dev/stdout %s\n", strerrorname_np(errno));
    show("seek", lseek(null, 100, SEEK_SET));
    works("opened and truncated", open("/dev/null", O_WRONLY | O_TRUNC | O_CREAT, 0666));
    return 0;
}
