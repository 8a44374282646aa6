// Reading to and writing from memory that ends within a word: what is there is moved, and a page that comes only now does not
// stop the rest.
#include "story.h"
#include <sys/socket.h>

int main(void) {
    enum { PAGE = 4096 };
    int ends[2];
    (void)!pipe(ends);
    static char bytes[64] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 'x', PAGE);
    mprotect(memory + PAGE, PAGE, PROT_NONE);
    for (int before = 1; before <= 9; before += 2) {
        (void)!write(ends[1], bytes, 32);
        ssize_t count = read(ends[0], memory + PAGE - before, 32);
        // Linux says EFAULT and keeps all of it, or gives what fits.
        check("a page end within a word stops a read", count == before || (count == -1 && errno == EFAULT));
        check("the rest is still there", read(ends[0], bytes + 32, 32) > 0);
        count = write(ends[1], memory + PAGE - before, 32);
        check("and a write", count < 32);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        while (read(ends[0], bytes + 32, 32) > 0)
            ;
    }
    munmap(memory, 2 * PAGE);

    // Far more than comes with one fault, at an odd address, twice.
    enum { LENGTH = 6 << 20 };
    char *from = mmap(NULL, LENGTH + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *to = mmap(NULL, LENGTH + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int file = memfd_create("bytes", 0);
    for (int i = 0; i < LENGTH; i += 1000)
        from[i + 3] = (char)(i / 1000 + 1);
    show("write", write(file, from + 3, LENGTH));
    for (int step = 0; step < LENGTH; step += 3 * PAGE + 1) {
        int length = LENGTH - step < 3 * PAGE + 1 ? LENGTH - step : 3 * PAGE + 1;
        if (pread(file, to + 5 + step, length, step) != length)
            puts("FAIL short");
    }
    show("the same", memcmp(from + 3, to + 5, LENGTH) == 0);
    return 0;
}
