// A device of the host, driven by a program: QEMU's edu by its registers, by DMA and by interrupts.
// link: static
//
//   passed look | mmio | dma | wild | interrupt | forever | edges | large | nvme
//
// Registers: 0 identification, 4 complement, 8 factorial, 0x20 status, 0x24 interrupt status, 0x60 raise, 0x64 acknowledge;
// DMA: 0x80 source, 0x88 target, 0x90 count, 0x98 command (1 go, 2 from the device, 4 interrupt), whose buffer is at 0x40000.
#include "story.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICES "/sys/bus/pci/devices"
#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            printf("line %d: %s (%s)\n", __LINE__, #condition, strerror(errno)); \
            exit(1); \
        } \
    } while (0)

static char folder[512];
static volatile uint32_t *bar;

static void read_text(const char *name, char *text, size_t size) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY);
    EXPECT(fd >= 0);
    ssize_t len = read(fd, text, size - 1);
    EXPECT(len > 0);
    text[len] = 0;
    close(fd);
}

static void find(const char *vendor, const char *device) {
    DIR *directory = opendir(DEVICES);
    EXPECT(directory != NULL);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char text[64];
        snprintf(folder, sizeof folder, "%s/%s", DEVICES, entry->d_name);
        read_text("vendor", text, sizeof text);
        int is_right = strncmp(text, vendor, 6) == 0;
        read_text("device", text, sizeof text);
        if (is_right && strncmp(text, device, 6) == 0) {
            closedir(directory);
            return;
        }
    }
    printf("there is no device %s:%s\n", vendor, device);
    exit(1);
}

static int open_file(const char *name, int flags) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open(path, flags);
}

static void map(void) {
    int fd = open_file("resource0", O_RDWR | O_SYNC);
    EXPECT(fd >= 0);
    bar = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(bar != MAP_FAILED);
    close(fd);
}

static uint32_t get(size_t at) {
    return bar[at / 4];
}

static void put(size_t at, uint32_t value) {
    bar[at / 4] = value;
}

static void put_long(size_t at, uint64_t value) {
    *(volatile uint64_t *)((volatile char *)bar + at) = value;
}

// The command register: bus mastering.
static void master(int on) {
    int fd = open_file("config", O_RDWR);
    uint16_t command;
    EXPECT(fd >= 0 && pread(fd, &command, 2, 4) == 2);
    command = on ? command | 4 : command & ~4;
    EXPECT(pwrite(fd, &command, 2, 4) == 2);
    close(fd);
}

// A page that stays where it is, and where the device finds it.
static unsigned char *page(uint64_t *bus) {
    unsigned char *memory =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    EXPECT(memory != MAP_FAILED);
    memory[0] = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t entry;
    EXPECT(fd >= 0 && pread(fd, &entry, 8, (uintptr_t)memory / 4096 * 8) == 8);
    close(fd);
    EXPECT(entry >> 63 == 1);
    *bus = (entry & ((1ULL << 55) - 1)) * 4096;
    EXPECT(*bus != 0);
    return memory;
}

static void wait_for_dma(void) {
    while (get(0x98) & 1) {
        usleep(1000);
    }
}

static void transfer(uint64_t source, uint64_t target, uint64_t count, uint32_t command) {
    put_long(0x80, source);
    put_long(0x88, target);
    put_long(0x90, count);
    put_long(0x98, command | 1);
}

#define BUFFER 0x40000
// QEMU before 8.2 ends itself when a transfer reaches the buffer's end.
#define SIZE 2048

static void look(void) {
    static const char *const names[] = {"vendor",   "device", "subsystem_vendor", "subsystem_device",
                                        "revision", "class",  "enable",           "numa_node"};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        char text[64];
        read_text(names[index], text, sizeof text);
        printf("%s %s", names[index], text);
    }
    char text[2048];
    read_text("resource", text, sizeof text);
    unsigned long long start, end, flags;
    EXPECT(sscanf(text, "%llx %llx %llx", &start, &end, &flags) == 3);
    printf("resource0 %llx bytes, flags %llx\n", end - start + 1, flags);
    EXPECT(start != 0 && start % 4096 == 0);
    unsigned char config[256];
    int fd = open_file("config", O_RDONLY);
    EXPECT(fd >= 0 && pread(fd, config, sizeof config, 0) == sizeof config);
    printf("capabilities");
    for (unsigned at = config[0x34]; at; at = config[at + 1]) {
        printf(" %x", config[at]);
    }
    printf("\n");
    close(fd);
}

static void mmio(void) {
    map();
    EXPECT(get(0) == 0x010000ed);
    put(4, 0x12345678);
    EXPECT(get(4) == ~0x12345678u);
    put(8, 12);
    while (get(0x20) & 1) {
    }
    printf("12! = %u\n", get(8));
    // Many accesses, to be counted from outside.
    for (uint32_t index = 0; index < 2000; index++) {
        put(4, index);
        EXPECT(get(4) == ~index);
    }
    printf("done\n");
}

static void dma(void) {
    uint64_t bus;
    unsigned char *memory = page(&bus);
    map();
    master(1);
    for (int index = 0; index < SIZE; index++) {
        memory[index] = index * 7;
    }
    transfer(bus, BUFFER, SIZE, 0);
    wait_for_dma();
    memset(memory, 0, SIZE);
    transfer(BUFFER, bus, SIZE, 2);
    wait_for_dma();
    for (int index = 0; index < SIZE; index++) {
        EXPECT(memory[index] == (unsigned char)(index * 7));
    }
    printf("there and back\n");
    // Without bus mastering nothing moves.
    master(0);
    memset(memory, 1, SIZE);
    transfer(BUFFER, bus, SIZE, 2);
    wait_for_dma();
    EXPECT(memory[0] == 1 && memory[SIZE - 1] == 1);
    printf("not without bus mastering\n");
}

// Where the partition has no memory there is nothing for the device either.
static void wild(void) {
    uint64_t bus;
    unsigned char *memory = page(&bus);
    map();
    master(1);
    memset(memory, 0x5a, SIZE);
    transfer(bus, BUFFER, SIZE, 0);
    wait_for_dma();
    // Behind the end of the partition's memory, and within what the device can address.
    for (uint64_t address = 0x8000000; address < 0x10000000; address += 0x1000000) {
        transfer(BUFFER, address, SIZE, 2);
        wait_for_dma();
        transfer(address, BUFFER, SIZE, 0);
        wait_for_dma();
        transfer(BUFFER, bus, SIZE, 2);
        wait_for_dma();
        // Whatever a refused read gives, it is the same everywhere.
        for (int index = 0; index < SIZE; index++) {
            EXPECT(memory[index] == 0 || memory[index] == 0xff);
            EXPECT(memory[index] == memory[0]);
        }
    }
    printf("nothing came from there\n");
}

static void interrupt(void) {
    uint32_t count, first;
    map();
    master(1);
    int fd = open("/dev/uio0", O_RDWR);
    EXPECT(fd >= 0);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    EXPECT(poll(&ready, 1, 0) == 0);
    put(0x60, 1);
    EXPECT(read(fd, &first, 4) == 4);
    EXPECT(get(0x24) == 1);
    put(0x64, 1);
    EXPECT(get(0x24) == 0);
    // One that comes while nobody waits is not lost.
    put(0x60, 2);
    EXPECT(poll(&ready, 1, 10000) == 1 && ready.revents & POLLIN);
    EXPECT(read(fd, &count, 4) == 4 && count == first + 1);
    put(0x64, 2);
    // At the end of what takes a while, with a program that does something else meanwhile.
    put(0x20, 0x80);
    put(8, 10);
    EXPECT(read(fd, &count, 4) == 4 && count == first + 2);
    put(0x64, get(0x24));
    printf("10! = %u\n", get(8));
    uint64_t bus;
    unsigned char *memory = page(&bus);
    memset(memory, 3, SIZE);
    transfer(bus, BUFFER, SIZE, 4);
    EXPECT(read(fd, &count, 4) == 4 && count == first + 3);
    EXPECT(get(0x24) == 0x100);
    put(0x64, 0x100);
    // Many, one after the other.
    for (int index = 0; index < 50; index++) {
        put(0x60, 1);
        EXPECT(read(fd, &count, 4) == 4);
        put(0x64, 1);
    }
    EXPECT(count == first + 53);
    // Off and on again.
    uint32_t word = 0;
    EXPECT(write(fd, &word, 4) == 4);
    put(0x60, 1);
    EXPECT(poll(&ready, 1, 200) == 0);
    put(0x64, 1);
    word = 1;
    EXPECT(write(fd, &word, 4) == 4);
    put(0x60, 1);
    EXPECT(read(fd, &count, 4) == 4 && count == first + 54);
    put(0x64, 1);
    EXPECT(read(fd, &count, 8) == -1 && errno == EINVAL);
    word = 7;
    EXPECT(write(fd, &word, 4) == -1 && errno == EINVAL);
    printf("interrupted\n");
}

static void forever(void) {
    uint64_t bus;
    page(&bus);
    map();
    master(1);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        transfer(bus, BUFFER, SIZE, 0);
        wait_for_dma();
        transfer(BUFFER, bus, SIZE, 2);
        wait_for_dma();
    }
}

// What does not work says so.
static void edges(void) {
    int fd = open_file("resource0", O_RDWR);
    EXPECT(fd >= 0);
    char byte;
    EXPECT(read(fd, &byte, 1) == -1 && errno == EIO);
    EXPECT(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL);
    EXPECT(mmap(NULL, 2 << 20, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EINVAL);
    EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 1 << 20) == MAP_FAILED && errno == EINVAL);
    // A part of it, which is read-only, then not, then moved.
    volatile uint32_t *part = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    EXPECT(part != MAP_FAILED && part[0] == 0x010000ed);
    EXPECT(mprotect((void *)part, 4096, PROT_READ | PROT_WRITE) == 0);
    part[1] = 5;
    EXPECT(part[1] == ~5u);
    part = mremap((void *)part, 4096, 8192, MREMAP_MAYMOVE);
    EXPECT(part != MAP_FAILED && part[1] == ~5u);
    // Its contents go through files by copying, byte by byte, which these registers do not answer; never by DMA.
    int pipes[2];
    EXPECT(pipe(pipes) == 0);
    EXPECT(write(pipes[1], (void *)part, 4) == 4);
    int file = open("/tmp/copy", O_RDWR | O_CREAT, 0600);
    EXPECT(file >= 0 && write(file, (void *)part, 4096) == 4096);
    close(file);
    // A child has the same registers.
    pid_t child = fork();
    if (child == 0) {
        part[1] = 6;
        _exit(part[1] == ~6u ? 0 : 1);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0 && part[1] == ~6u);
    EXPECT(munmap((void *)part, 8192) == 0);
    // Registers: BARs stay, nonsense is survived.
    int config = open_file("config", O_RDWR);
    unsigned char before[256], after[256], ones[256];
    memset(ones, 0xff, sizeof ones);
    EXPECT(pread(config, before, 256, 0) == 256);
    EXPECT(pwrite(config, ones, 16, 0x10) == 16);
    EXPECT(pwrite(config, before + 0x10, 16, 0x10) == 16);
    EXPECT(pwrite(config, ones, 2, 4) == 2 && pwrite(config, before + 4, 2, 4) == 2);
    EXPECT(pwrite(config, ones, 256, 256) == 256);
    EXPECT(pread(config, after, 256, 0) == 256 && memcmp(before, after, 256) == 0);
    EXPECT(pread(config, after, 1, 4096) == 0 && pwrite(config, ones, 1, 4096) == 0);
    // All registers at once, MSI on with nonsense in it; then as they were.
    EXPECT(pwrite(config, ones + 0, 256 - 0x34, 0x34) == 256 - 0x34);
    EXPECT(pwrite(config, before, 256, 0) == 256);
    map();
    EXPECT(get(0) == 0x010000ed);
    printf("edges\n");
}

// Another device, with MSI-X and a wide BAR: an NVMe controller is started and asked who it is, by DMA, and interrupts.
static void nvme(void) {
    enum { ENTRIES = 16, CC = 0x14, CSTS = 0x1c, AQA = 0x24, ASQ = 0x28, ACQ = 0x30, DOORBELL = 0x1000 };
    uint64_t queue_bus, answers_bus, data_bus;
    uint32_t count;
    volatile uint32_t *queue = (void *)page(&queue_bus), *answers = (void *)page(&answers_bus);
    unsigned char *data = page(&data_bus);
    memset((void *)queue, 0, 4096);
    memset((void *)answers, 0, 4096);
    find("0x1b36", "0x0010");
    int fd = open_file("resource0", O_RDWR);
    EXPECT(fd >= 0);
    bar = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(bar != MAP_FAILED);
    master(1);
    char name[300], text[64];
    int index = 0;
    // Which of the interrupt files is its own.
    for (; index < 8; index++) {
        snprintf(name, sizeof name, "uio/uio%d/name", index);
        if (open_file(name, O_RDONLY) >= 0) {
            break;
        }
    }
    snprintf(name, sizeof name, "/dev/uio%d", index);
    int interrupts = open(name, O_RDWR);
    EXPECT(interrupts >= 0);
    put(CC, 0);
    while (get(CSTS) & 1) {
    }
    put(AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    put_long(ASQ, queue_bus);
    put_long(ACQ, answers_bus);
    put(CC, 4 << 20 | 6 << 16 | 1);
    while (!(get(CSTS) & 1)) {
    }
    for (uint32_t turn = 0; turn < 10; turn++) {
        volatile uint32_t *command = queue + turn * 16;
        memset(data, 0, 4096);
        // Identify: a command number, where to, which of its structures.
        command[0] = turn << 16 | 6;
        command[6] = data_bus;
        command[7] = data_bus >> 32;
        command[10] = 1;
        put(DOORBELL, turn + 1);
        EXPECT(read(interrupts, &count, 4) == 4);
        volatile uint32_t *answer = answers + turn * 4;
        EXPECT(answer[3] >> 16 == 1 && (answer[3] & 0xffff) == turn);
        put(DOORBELL + 4, turn + 1);
    }
    snprintf(text, sizeof text, "%.14s", data + 24);
    printf("%s, %u interrupts\n", text, count);
    // The table of vectors is not the function's own: nothing of it can be mapped but by exits.
    unsigned char config[256];
    int registers = open_file("config", O_RDONLY);
    EXPECT(pread(registers, config, 256, 0) == 256);
    unsigned at = config[0x34];
    while (at && config[at] != 0x11) {
        at = config[at + 1];
    }
    EXPECT(at != 0);
    uint32_t offset = *(uint32_t *)(config + at + 4) & ~7u;
    volatile uint32_t *table = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset & ~4095u);
    EXPECT(table != MAP_FAILED);
    table += offset % 4096 / 4;
    EXPECT((table[0] & 0xfff00000) == 0xfee00000 && table[3] == 0 && table[7] == 1);
    table[4] = 0xffffffff;
    table[7] = 0;
    EXPECT(table[4] == 0xfffffffc && table[7] == 0);
    table[7] = 1;
    find("0x1234", "0x11e8");
}

// A BAR of 64 GiB, of another device: pages of 2 MiB, wherever they are touched.
static void large(void) {
    find("0x1b36", "0x0005");
    int fd = open_file("resource2", O_RDWR);
    struct stat status;
    EXPECT(fd >= 0 && fstat(fd, &status) == 0);
    printf("%lld GiB\n", (long long)status.st_size >> 30);
    size_t size = status.st_size;
    volatile uint32_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(memory != MAP_FAILED);
    // There is nothing behind it: what counts is that an access ends.
    uint32_t sum = 0;
    for (size_t at = 0; at < size; at += size / 16) {
        memory[at / 4] = 1;
        sum += memory[at / 4 + 1];
    }
    sum += memory[size / 4 - 1];
    printf("touched\n");
    // Smaller than a page in the middle of it, and none behind its end.
    EXPECT(munmap((char *)memory + 4096, 4096) == 0);
    memory[0] = sum;
    EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, size) == MAP_FAILED && errno == EINVAL);
    find("0x1234", "0x11e8");
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {{"look", look}, {"mmio", mmio},       {"dma", dma},     {"wild", wild}, {"interrupt", interrupt},
               {"forever", forever}, {"edges", edges},     {"large", large}, {"nvme", nvme}};
    find("0x1234", "0x11e8");
    for (int argument = 1; argument < argc; argument++) {
        for (size_t index = 0; index < sizeof all / sizeof *all; index++) {
            if (strcmp(argv[argument], all[index].name) == 0) {
                all[index].run();
            }
        }
    }
    return 0;
}
