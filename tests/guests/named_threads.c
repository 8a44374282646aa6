// Threads with names, one of them rude, that wait or compute until the program is ended.
// flags: -pthread
#include "story.h"
#include <pthread.h>

static pthread_barrier_t all_are_named;

static void *run(void *name) {
    check("a thread takes a name", pthread_setname_np(pthread_self(), name) == 0);
    pthread_barrier_wait(&all_are_named);
    if (strcmp(name, "computes") == 0)
        for (volatile unsigned long i = 0;; i++)
            ;
    for (;;)
        sleep(1000);
}

int main(void) {
    static char *names[] = {"waits", "computes", "\033[2J\n"};
    pthread_barrier_init(&all_are_named, NULL, 4);
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, run, names[i]);
    }
    pthread_barrier_wait(&all_are_named);
    (void)!write(1, "ready\n", 6);
    for (;;)
        sleep(1000);
}
