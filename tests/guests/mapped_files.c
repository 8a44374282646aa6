// Files in memory: a private mapping never changes the file, a shared one shows it, and the last page ends in zeroes.
#include "story.h"

static char *map(int file, size_t length, int protection, int flags, off_t offset) {
    return mmap(NULL, length, protection, flags, file, offset);
}

int main(void) {
    enter_story_directory();
    int file = open("mapped", O_RDWR | O_CREAT | O_TRUNC, 0644);
    char block[5000];
    for (int i = 0; i < 3; i++) {
        memset(block, 'a' + i, sizeof block);
        (void)!write(file, block, sizeof block);
    }
    char *private = map(file, 15000, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    printf("private: %c %c %c\n", private[0], private[5000], private[14999]);
    show("beyond the end of the file, within the page", private[15001]);
    private[0] = 'X';
    private[14999] = 'Y';
    private[16000] = 'Z';
    char byte;
    pread(file, &byte, 1, 0);
    printf("after writing there: memory %c file %c\n", private[0], byte);

    char *second = map(file, 4096, PROT_READ, MAP_PRIVATE, 4096);
    printf("from the second page on: %c %c\n", second[0], second[4095]);
    show("an odd offset", map(file, 10, PROT_READ, MAP_PRIVATE, 100) == MAP_FAILED ? -1 : 0);

    char *shared = map(file, 15000, PROT_READ, MAP_SHARED, 0);
    printf("shared: %c %c\n", shared[0], shared[10000]);
    int read_only = open("mapped", O_RDONLY);
    show("shared and writable needs a writable file",
         map(read_only, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0) == MAP_FAILED ? -1 : 0);
    works("private and writable does not", map(read_only, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0) == MAP_FAILED ? -1 : 0);
    int write_only = open("mapped", O_WRONLY);
    show("a file only for writing", map(write_only, 4096, PROT_READ, MAP_PRIVATE, 0) == MAP_FAILED ? -1 : 0);
    int directory = open(".", O_RDONLY);
    show("a directory", map(directory, 4096, PROT_READ, MAP_PRIVATE, 0) == MAP_FAILED ? -1 : 0);

    close(file);
    close(read_only);
    unlink("mapped");
    printf("closed and removed, the mapping is there: %c %c\n", private[0], shared[5000]);

    // What programs do most: read a whole file by its mapping.
    int self = open("/proc/self/exe", O_RDONLY);
    struct stat status;
    fstat(self, &status);
    unsigned char *program = (unsigned char *)map(self, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, 0);
    unsigned long mapped_sum = 0, read_sum = 0;
    for (off_t i = 0; i < status.st_size; i++)
        mapped_sum += program[i] * (unsigned long)(i % 251);
    unsigned char piece[8192];
    off_t at = 0;
    for (ssize_t count; (count = read(self, piece, sizeof piece)) > 0;)
        for (ssize_t i = 0; i < count; i++, at++)
            read_sum += piece[i] * (unsigned long)(at % 251);
    check("reading it gives the same bytes", mapped_sum == read_sum && at == status.st_size);
    return 0;
}
