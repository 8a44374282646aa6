// Limits that are kept: sizes of files, processes of a user, and signals that wait.
#include "story.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

static volatile sig_atomic_t excesses;

static void on_excess(int number) {
    (void)number;
    excesses++;
}

static void excess(const char *what, long result) {
    show(what, result);
    printf("signals %d\n", excesses);
    excesses = 0;
}

static void file_sizes(void) {
    struct rlimit limit = {1000, 2000};
    char bytes[600];
    memset(bytes, 'x', sizeof bytes);
    int file = new_file("limited", "");
    signal(SIGXFSZ, on_excess);
    show("a limit", setrlimit(RLIMIT_FSIZE, &limit));
    excess("within", write(file, bytes, 600));
    excess("a part", write(file, bytes, 600));
    excess("nothing", write(file, bytes, 600));
    excess("nothing at all", write(file, bytes, 0));
    excess("in between", pwrite(file, bytes, 600, 300));
    excess("a part in between", pwrite(file, bytes, 600, 900));
    excess("beyond", pwrite(file, bytes, 1, 1000));
    struct iovec two[2] = {{bytes, 300}, {bytes, 600}};
    excess("two parts", pwritev(file, two, 2, 500));
    excess("the size it has", ftruncate(file, 1000));
    excess("longer", ftruncate(file, 1001));
    excess("longer by name", truncate("limited", 1001));
    excess("shorter", ftruncate(file, 990));
    excess("more room", fallocate(file, 0, 0, 1001));
    lseek(file, 0, SEEK_SET);
    int appended = open("limited", O_WRONLY | O_APPEND);
    excess("the rest at the end", write(appended, bytes, 600));
    excess("at the end", write(appended, bytes, 600));
    int other = new_file("copy", "");
    lseek(other, 700, SEEK_SET);
    lseek(file, 0, SEEK_SET);
    excess("sent", sendfile(other, file, NULL, 600));
    int ends[2];
    pipe(ends);
    excess("no file", write(ends[1], bytes, 600));
    signal(SIGXFSZ, SIG_IGN);
    excess("ignored", pwrite(file, bytes, 1, 1000));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_DFL);
        pwrite(file, bytes, 1, 1000);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("killed by %d\n", WTERMSIG(status));
    close(file);
    unlink("limited");
    unlink("copy");
}

static void *nothing(void *argument) {
    pause();
    return argument;
}

static void processes(void) {
    struct rlimit limit = {4, 4};
    if (setgid(54321) != 0 || setuid(54321) != 0)
        exit(99);
    show("a limit", setrlimit(RLIMIT_NPROC, &limit));
    fflush(stdout);
    int count = 0;
    pid_t children[8];
    while (count < 8 && (children[count] = fork()) >= 0) {
        if (children[count] == 0) {
            pause();
            _exit(0);
        }
        count++;
    }
    show("one too many", -1);
    show("processes", count);
    pthread_t thread;
    errno = 0;
    printf("a thread: %s\n", strerrorname_np(pthread_create(&thread, NULL, nothing, NULL)));
    kill(children[0], SIGKILL);
    waitpid(children[0], NULL, 0);
    printf("a thread now: %d\n", pthread_create(&thread, NULL, nothing, NULL));
    show("and no process", fork());
    for (int i = 1; i < count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
}

static void signals(void) {
    struct rlimit limit = {5, 5};
    if (setgid(54322) != 0 || setuid(54322) != 0)
        exit(99);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    show("a limit", setrlimit(RLIMIT_SIGPENDING, &limit));
    int count = 0;
    while (count < 20 && sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = count}) == 0)
        count++;
    show("one too many", -1);
    show("signals", count);
    show("an ordinary one", kill(getpid(), SIGUSR1));
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN + 1);
    siginfo_t info;
    show("taken", sigtimedwait(&one, &info, &(struct timespec){0}) == SIGRTMIN + 1);
    printf("value %d\n", info.si_value.sival_int);
}

int main(void) {
    enter_story_directory();
    in_a_child(file_sizes);
    if (getuid() == 0) {
        in_a_child(processes);
        in_a_child(signals);
    }
    return 0;
}
