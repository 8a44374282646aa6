// RLIMIT_STACK: how far a stack grows, when the limit falls and rises, and after exec.
#include "../story.h"
#include <signal.h>
#include <sys/resource.h>

static void set(rlim_t soft) {
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    limit.rlim_cur = soft;
    SHOW(setrlimit(RLIMIT_STACK, &limit));
}

// Touches the stack this far down.
static __attribute__((noinline)) void use(size_t bytes) {
    volatile char room[64 * 1024];
    room[0] = 1;
    if (bytes > sizeof room)
        use(bytes - sizeof room);
    room[1] = room[0];
}

static void try(const char *what, size_t bytes) {
    fflush(stdout);
    int status;
    pid_t child = fork();
    if (child == 0) {
        use(bytes);
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%s: %s\n", what, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "there is room");
}

int main(int count, char **words) {
    if (count > 1) {
        try(words[1], (size_t)atoi(words[2]) << 20);
        return 0;
    }
    set(8 << 20);
    try("7 MiB of 8", 7 << 20);
    try("9 MiB of 8", 9 << 20);
    set(1 << 20);
    try("1 MiB and more of 1", (1 << 20) + (1 << 18));
    try("half of 1 MiB", 1 << 19);
    set(32 << 20);
    try("30 MiB of 32", 30 << 20);
    struct {
        rlim_t limit;
        char *words[4];
    } after[] = {
        {2 << 20, {words[0], "1 MiB of 2", "1"}},
        {2 << 20, {words[0], "3 MiB of 2", "3"}},
        {200 << 20, {words[0], "150 MiB of 200", "150"}},
        {RLIM_INFINITY, {words[0], "150 MiB of any number", "150"}},
    };
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        set(after[i].limit);
        fflush(stdout);
        if (fork() == 0) {
            execv("/proc/self/exe", after[i].words);
            _exit(1);
        }
        wait(NULL);
    }
    return 0;
}
