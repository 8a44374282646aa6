// System calls with memory of which a part is not there, at every distance from the edge: nothing hangs, and what is there counts.
#include "story.h"

int main(void) {
    char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 'x', 4096);
    munmap(pages + 4096, 4096);
    enter_story_directory();
    int file = open("edges", O_RDWR | O_CREAT | O_TRUNC, 0644), pipes[2];
    (void)!pipe(pipes);
    for (int before = 1; before < 20; before += 3) {
        char what[40];
        snprintf(what, sizeof what, "written from, %d bytes before the edge", before);
        show(what, pwrite(file, pages + 4096 - before, 24, 0));
        (void)!pwrite(file, "0123456789abcdefghijklmn", 24, 0);
        snprintf(what, sizeof what, "read to, %d bytes before the edge", before);
        show(what, pread(file, pages + 4096 - before, 24, 0));
    }
    show("nothing there", pwrite(file, pages + 4096, 24, 0));
    // The page is allowed, but not touched yet: it comes by itself.
    char *fresh = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(fresh, 2 * 4096, MADV_NOHUGEPAGE);
    for (int before = 1; before < 12; before++) {
        madvise(fresh, 2 * 4096, MADV_DONTNEED);
        (void)!write(pipes[1], "0123456789abcdef", 16);
        show("read across an untouched page", read(pipes[0], fresh + 4096 - before, 16));
        check("all of it is there", memcmp(fresh + 4096 - before, "0123456789abcdef", 16) == 0);
    }
    unlink("edges");
    return 0;
}
