// Several processes make, link, rename and remove the same names: each time exactly one of them succeeds.
#include "../story.h"

enum { PROCESSES = 3, ROUNDS = 8 };

static int *counts;

static void all(const char *what, long (*part)(int round, int who), int expected) {
    memset(counts, 0, 4096);
    fflush(stdout);
    for (int who = 0; who < PROCESSES; who++)
        if (fork() == 0) {
            for (int round = 0; round < ROUNDS; round++)
                if (part(round, who) >= 0)
                    __atomic_add_fetch(&counts[round], 1, __ATOMIC_SEQ_CST);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    int wrong = 0;
    for (int round = 0; round < ROUNDS; round++)
        wrong += counts[round] != expected;
    printf("%s: %d of %d rounds were not as they should\n", what, wrong, ROUNDS);
}

static char *name(const char *kind, int round) {
    static char text[64];
    sprintf(text, "%s-%d", kind, round);
    return text;
}

static long create(int round, int who) {
    (void)who;
    int file = open(name("file", round), O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (file >= 0)
        close(file);
    return file;
}

static long make(int round, int who) {
    (void)who;
    return mkdir(name("directory", round), 0755);
}

static long soft(int round, int who) {
    (void)who;
    return symlink("x", name("soft", round));
}

static long hard(int round, int who) {
    (void)who;
    return link("one", name("hard", round));
}

static long move(int round, int who) {
    char to[64];
    sprintf(to, "moved-%d-%d", round, who);
    return rename(name("file", round), to);
}

static long erase(int round, int who) {
    (void)who;
    return unlink(name("hard", round));
}

static long erase_directory(int round, int who) {
    (void)who;
    return rmdir(name("directory", round));
}

int main(void) {
    enter_story_directory();
    counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    close(new_file("one", "x"));
    all("create", create, 1);
    all("mkdir", make, 1);
    all("symlink", soft, 1);
    all("link", hard, 1);
    all("rename", move, 1);
    all("unlink", erase, 1);
    all("rmdir", erase_directory, 1);
    struct stat status;
    stat("one", &status);
    SHOW(status.st_nlink);
    for (int round = 0; round < ROUNDS; round++) {
        unlink(name("soft", round));
        for (int who = 0; who < PROCESSES; who++) {
            char moved[64];
            sprintf(moved, "moved-%d-%d", round, who);
            unlink(moved);
        }
    }
    return 0;
}
