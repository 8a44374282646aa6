// A program that unmaps the vDSO, as Valgrind does for what it runs: signals arrive and end all the same.
#include "story.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/auxv.h>

static volatile int count;
static sigjmp_buf back;

static void handler(int signal) {
    (void)signal;
    count++;
}

static void fault(int signal) { siglongjmp(back, signal); }

// Unmaps what the kernel calls by this name; how many such mappings there were.
static int unmap(const char *name) {
    char line[256];
    unsigned long start, end;
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        if (strstr(line, name) && sscanf(line, "%lx-%lx", &start, &end) == 2)
            found += munmap((void *)start, end - start) == 0;
    if (maps)
        fclose(maps);
    return found;
}

int main(void) {
    CHECK(getauxval(AT_SYSINFO_EHDR) != 0);
    struct sigaction action = {.sa_handler = handler}, faults = {.sa_handler = fault};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGSEGV, &faults, NULL);
    show("unmapped", unmap("[vdso]"));
    unmap("[vvar]");
    double before = 1.5;
    for (int i = 0; i < 3; i++)
        raise(SIGUSR1);
    show("handled", count);
    show("numbers live on", before * 2 == 3.0);
    int signal = sigsetjmp(back, 1);
    if (signal == 0)
        *(volatile int *)NOWHERE = 1;
    printf("a fault: %s\n", sigabbrev_np(signal));
    // Whatever it was mapped again for may be unmapped again.
    unmap("[vdso]");
    raise(SIGUSR1);
    show("handled", count);
    return 0;
}
