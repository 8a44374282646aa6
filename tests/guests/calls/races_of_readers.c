// Several processes read a file while another writes: whoever knows of a write sees it.
#include "../story.h"

enum { READERS = 3, PAGES = 4, WRITES = 200 };

static struct {
    int last[PAGES];
    long length;
    int is_over, stale, shorter;
} *known;

static void read_along(int file) {
    for (int page = 0; !__atomic_load_n(&known->is_over, __ATOMIC_ACQUIRE); page = (page + 1) % PAGES) {
        int last = __atomic_load_n(&known->last[page], __ATOMIC_ACQUIRE), value = -1;
        pread(file, &value, sizeof value, page * 4096);
        if (value < last)
            __atomic_add_fetch(&known->stale, 1, __ATOMIC_RELAXED);
        struct stat status;
        long length = __atomic_load_n(&known->length, __ATOMIC_ACQUIRE);
        fstat(file, &status);
        if (status.st_size < length)
            __atomic_add_fetch(&known->shorter, 1, __ATOMIC_RELAXED);
    }
}

int main(void) {
    enter_story_directory();
    known = mmap(NULL, sizeof *known, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int file = new_file("file", "");
    ftruncate(file, PAGES * 4096);
    fflush(stdout);
    for (int who = 0; who < READERS; who++)
        if (fork() == 0) {
            read_along(open("file", O_RDONLY));
            _exit(0);
        }
    for (int i = 1; i <= WRITES; i++) {
        pwrite(file, &i, sizeof i, i % PAGES * 4096);
        __atomic_store_n(&known->last[i % PAGES], i, __ATOMIC_RELEASE);
        if (i % 8 == 0) {
            pwrite(file, "", 1, PAGES * 4096 + i);
            __atomic_store_n(&known->length, PAGES * 4096 + i + 1, __ATOMIC_RELEASE);
        }
    }
    __atomic_store_n(&known->is_over, 1, __ATOMIC_RELEASE);
    while (wait(NULL) > 0)
        ;
    printf("%d stale, %d shorter\n", known->stale, known->shorter);
    return 0;
}
