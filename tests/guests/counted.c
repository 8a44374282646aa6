// What is counted: bytes and calls of reads and writes (/proc/PID/io), waits (status, getrusage), open files of the system (file-nr).
#include "story.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

struct counts {
    long read, written, reads, writes, own;
};

static struct counts count_of(const char *name) {
    struct counts all = {0};
    char text[600] = {0};
    int file = open(name, O_RDONLY);
    all.own = read(file, text, sizeof text - 1);
    close(file);
    if (sscanf(text, "rchar: %ld\nwchar: %ld\nsyscr: %ld\nsyscw: %ld\n", &all.read, &all.written, &all.reads, &all.writes) != 4)
        printf("FAIL %s: %s\n", name, text);
    return all;
}

static struct counts before;

static void begin(void) {
    fflush(stdout);
    before = count_of("/proc/self/io");
}

// What came between, without the reading of the counts themselves.
static void end(const char *what) {
    struct counts after = count_of("/proc/self/io");
    printf("%s: read %ld in %ld, written %ld in %ld\n", what, after.read - before.read - before.own, after.reads - before.reads - 1,
           after.written - before.written, after.writes - before.writes);
}

static long waits_of(const char *name) {
    FILE *file = fopen(name, "r");
    char line[200];
    long waits = -1;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "voluntary_ctxt_switches: %ld", &waits);
    if (file != NULL)
        fclose(file);
    return waits;
}

static long open_files(void) {
    FILE *file = fopen("/proc/sys/fs/file-nr", "r");
    long count = -1;
    if (file == NULL || fscanf(file, "%ld", &count) != 1)
        count = -1;
    if (file != NULL)
        fclose(file);
    return count;
}

static void *read_some(void *argument) {
    char bytes[100];
    int file = *(int *)argument;
    for (int i = 0; i < 3; i++)
        pread(file, bytes, 100, 0);
    return NULL;
}

int main(void) {
    enter_story_directory();
    char bytes[1000] = {0};
    int file = new_file("counted", ""), other = new_file("other", "");
    begin();
    end("nothing");
    begin();
    write(file, bytes, 1000);
    pwrite(file, bytes, 10, 5);
    struct iovec two[2] = {{bytes, 20}, {bytes, 30}};
    writev(file, two, 2);
    pwritev(file, two, 2, 0);
    end("writes");
    begin();
    lseek(file, 0, SEEK_SET);
    read(file, bytes, 100);
    read(file, bytes, 0);
    pread(file, bytes, 1000, 900);
    preadv(file, two, 2, 0);
    pread(file, bytes, 10, 5000);
    end("reads");
    begin();
    read(-1, bytes, 10);
    write(-1, bytes, 10);
    end("no files");
    begin();
    lseek(file, 0, SEEK_SET);
    sendfile(other, file, NULL, 200);
    end("sent");
    begin();
    pthread_t thread;
    pthread_create(&thread, NULL, read_some, &file);
    pthread_join(thread, NULL);
    end("by a thread that is gone");
    begin();
    pid_t child = fork();
    if (child == 0) {
        read_some(&file);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    end("by a child that is gone");

    long waited = waits_of("/proc/self/status");
    struct rusage usage, later;
    getrusage(RUSAGE_SELF, &usage);
    for (int i = 0; i < 5; i++)
        usleep(2000);
    getrusage(RUSAGE_SELF, &later);
    check("waits", waits_of("/proc/self/status") >= waited + 5 && waited > 0);
    check("waits of the process", later.ru_nvcsw >= usage.ru_nvcsw + 5);
    check("waits of children", getrusage(RUSAGE_CHILDREN, &usage) == 0 && usage.ru_nvcsw >= 0);
    long opened = open_files();
    int files[100];
    for (int i = 0; i < 100; i++)
        files[i] = open("counted", O_RDONLY);
    check("open files", open_files() >= opened + 50);
    for (int i = 0; i < 100; i++)
        close(files[i]);
    return 0;
}
