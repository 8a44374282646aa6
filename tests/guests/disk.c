// A disk of 64 MiB at /dev/vda: its numbers, sectors and parts of them, direct and synchronous access, discarding, the end,
// and many threads at once. Static.
#include "story.h"
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

enum { MIB = 1 << 20, SIZE = 64 * MIB, THREADS = 16, BLOCK = 4096 };
static unsigned char pattern[2 * MIB], got[2 * MIB];
static int disk;

static int is_zero(off_t at, size_t length) {
    if (pread(disk, got, length, at) != (ssize_t)length)
        return 0;
    for (size_t i = 0; i < length; i++)
        if (got[i])
            return 0;
    return 1;
}

// Each has every sixteenth block of 4 MiB, and the 100 bytes behind sector boundaries of its own.
static void *work(void *argument) {
    long number = (long)argument;
    unsigned char *page = aligned_alloc(BLOCK, BLOCK), *back = aligned_alloc(BLOCK, BLOCK);
    long wrong = 0;
    for (int round = 0; round < 3; round++)
        for (off_t at = 32 * MIB + number * BLOCK; at < 36 * MIB; at += THREADS * BLOCK) {
            memset(page, (int)(number * 3 + round + at / BLOCK), BLOCK);
            if (pwrite(disk, page, BLOCK, at) != BLOCK || pread(disk, back, BLOCK, at) != BLOCK ||
                memcmp(page, back, BLOCK))
                wrong++;
        }
    for (int round = 0; round < 20; round++) {
        // All of them in the same few sectors.
        off_t at = 40 * MIB + number * 100;
        memset(page, (int)(number + round), 100);
        if (pwrite(disk, page, 100, at) != 100 || pread(disk, back, 100, at) != 100 || memcmp(page, back, 100))
            wrong++;
    }
    free(page);
    free(back);
    return (void *)wrong;
}

int main(void) {
    struct stat status;
    check("there is a disk", stat("/dev/vda", &status) == 0);
    check("a block device", S_ISBLK(status.st_mode));
    check("254:0", major(status.st_rdev) == 254 && minor(status.st_rdev) == 0);
    disk = open("/dev/vda", O_RDWR | O_CLOEXEC);
    check("it opens", disk >= 0);

    uint64_t bytes = 0;
    unsigned long sectors = 0;
    int number = 0;
    unsigned physical = 0;
    check("its end", lseek(disk, 0, SEEK_END) == SIZE);
    check("BLKGETSIZE64", ioctl(disk, BLKGETSIZE64, &bytes) == 0 && bytes == SIZE);
    check("BLKGETSIZE", ioctl(disk, BLKGETSIZE, &sectors) == 0 && sectors == SIZE / 512);
    check("BLKSSZGET", ioctl(disk, BLKSSZGET, &number) == 0 && number == 512);
    check("BLKPBSZGET", ioctl(disk, BLKPBSZGET, &physical) == 0 && physical == 4096);
    number = 1;
    check("BLKROGET", ioctl(disk, BLKROGET, &number) == 0 && number == 0);
    check("BLKFLSBUF", ioctl(disk, BLKFLSBUF, 0) == 0);
    check("no terminal", ioctl(disk, 0x5401, got) == -1 && errno == ENOTTY);

    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (unsigned char)(i * 7 + i / 509);
    check("much is written", pwrite(disk, pattern, 2 * MIB, MIB) == 2 * MIB);
    check("and read", pread(disk, got, 2 * MIB, MIB) == 2 * MIB && !memcmp(got, pattern, 2 * MIB));
    check("from the middle", pread(disk, got, 12345, MIB + 777) == 12345 && !memcmp(got, pattern + 777, 12345));
    check("a few bytes are written", pwrite(disk, "hello", 5, 5 * MIB + 510) == 5);
    check("and nothing else", pread(disk, got, 1024, 5 * MIB) == 1024 && !memcmp(got + 510, "hello", 5) &&
                                  !got[509] && !got[515]);
    lseek(disk, 7 * MIB, SEEK_SET);
    check("positions move", write(disk, pattern, 700) == 700 && lseek(disk, 0, SEEK_CUR) == 7 * MIB + 700);

    int direct = open("/dev/vda", O_RDWR | O_DIRECT | O_SYNC);
    void *page = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, pattern, MIB);
    check("direct and synchronous", pwrite(direct, page, MIB, 10 * MIB) == MIB);
    check("others see it", pread(disk, got, MIB, 10 * MIB) == MIB && !memcmp(got, pattern, MIB));
    check("it is flushed", fsync(disk) == 0 && fdatasync(direct) == 0);

    uint64_t range[2] = {10 * MIB, MIB / 2};
    check("BLKDISCARD", ioctl(disk, BLKDISCARD, range) == 0);
    check("zeros there", is_zero(10 * MIB, MIB / 2));
    check("but no further", !is_zero(10 * MIB + MIB / 2, 512));
    range[0] = MIB;
    check("BLKZEROOUT", ioctl(disk, BLKZEROOUT, range) == 0 && is_zero(MIB, MIB / 2));
    check("a hole", fallocate(disk, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * MIB, MIB / 2) == 0 &&
                        is_zero(2 * MIB, MIB / 2));
    uint64_t beyond[2] = {SIZE - 512, 1024}, crooked[2] = {100, 512};
    check("not beyond the end", ioctl(disk, BLKDISCARD, beyond) == -1 && errno == EINVAL);
    check("nor parts of sectors", ioctl(disk, BLKZEROOUT, crooked) == -1 && errno == EINVAL);

    check("nothing is behind the end", pread(disk, got, 512, SIZE) == 0);
    check("nor has room", pwrite(disk, got, 512, SIZE) == -1 && errno == ENOSPC);
    check("what fits is written", pwrite(disk, pattern, 5000, SIZE - 1000) == 1000);
    check("what is there is read", pread(disk, got, 5000, SIZE - 1000) == 1000 && !memcmp(got, pattern, 1000));
    check("bad memory", pread(disk, (void *)8, 512, 0) == -1 && errno == EFAULT);
    check("no mapping", mmap(0, BLOCK, PROT_READ, MAP_SHARED, disk, 0) == MAP_FAILED && errno == ENODEV);

    int reader = open("/dev/vda", O_RDONLY);
    check("who only reads cannot discard", ioctl(reader, BLKDISCARD, range) == -1 && errno == EBADF);

    pthread_t threads[THREADS];
    long wrong = 0;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], 0, work, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        wrong += (long)result;
    }
    check("many threads at once", wrong == 0);
    return 0;
}
