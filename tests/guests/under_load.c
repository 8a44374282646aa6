// Limits reached by many at once: memory, threads, processes, faults and signals. The argument says which, and another how often.
#include "story.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { PAGE = 4096 };

// How many of something, if the second argument says so.
static int wanted;
static atomic_int is_over;
static atomic_long counter;
static pthread_barrier_t barrier;

static void *take_all(void *unused) {
    for (;;) {
        char *at = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            return unused;
        for (int page = 0; page < 64; page++)
            at[page * PAGE] = 1;
    }
}

// All want more than there is; whoever is refused goes on asking until the partition ends.
static void memory(void) {
    pthread_t threads[32];
    for (int i = 0; i < 32; i++)
        if (pthread_create(&threads[i], NULL, take_all, NULL) != 0)
            exit(9);
    for (int i = 0; i < 32; i++)
        pthread_join(threads[i], NULL);
    printf("all were refused\n");
}

static void *stay(void *unused) {
    while (!is_over)
        usleep(1000);
    return unused;
}

// As many threads as there may be, twice.
static void threads(void) {
    pthread_t made[64];
    for (int round = 0; round < 3; round++) {
        is_over = 0;
        int count = 0, error = 0;
        while (count < 64 && (error = pthread_create(&made[count], NULL, stay, NULL)) == 0)
            count++;
        printf("%d threads, then %s\n", count + 1, error ? strerrorname_np(error) : "no end");
        is_over = 1;
        for (int i = 0; i < count; i++)
            pthread_join(made[i], NULL);
    }
}

static sigjmp_buf back;
static void caught(int number) { siglongjmp(back, number); }

static void faults(void) {
    struct sigaction action = {.sa_handler = caught, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    static volatile long done;
    wanted = wanted ? wanted : 100000;
    char *volatile nothing = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    while (done < wanted) {
        if (sigsetjmp(back, 0) == 0)
            *nothing = 1;
        done++;
    }
    printf("%ld faults\n", done);
}

static void count_signal(int number) {
    (void)number;
    counter++;
}

static void *send_many(void *target) {
    for (int i = 0; i < (wanted ? wanted : 5000); i++)
        pthread_kill(*(pthread_t *)target, i % 2 ? SIGUSR1 : SIGRTMIN);
    return NULL;
}

// Many threads send to one, which is calling the system meanwhile.
static void signals(void) {
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    pthread_t own = pthread_self(), senders[6];
    for (int i = 0; i < 6; i++)
        pthread_create(&senders[i], NULL, send_many, &own);
    for (int i = 0; i < 6; i++)
        pthread_join(senders[i], NULL);
    check("they arrived", counter > 0);
    printf("went on\n");
}

// Everybody forks as often as possible; what was refused once works when others have ended.
static void bomb(void) {
    int children = 0, refused = 0;
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (int step = 0; step < 8; step++)
                if (fork() == 0)
                    usleep(1000);
            _exit(0);
        }
        if (child > 0)
            children++;
        else if (errno == EAGAIN || errno == ENOMEM)
            refused++;
        else
            check("fork", 0);
    }
    while (children > 0 && wait(NULL) > 0)
        children--;
    usleep(300000);
    check("some were made or refused", refused >= 0);
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    int status = 0;
    waitpid(child, &status, 0);
    printf("afterwards: %d\n", WEXITSTATUS(status));
}

static void *map_at_random(void *argument) {
    unsigned seed = (unsigned)(long)argument * 2654435761u;
    char *maps[8] = {0};
    size_t sizes[8] = {0};
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < (wanted ? wanted : 300); i++) {
        seed = seed * 1664525 + 1013904223;
        int slot = seed >> 13 & 7;
        if (maps[slot]) {
            if (maps[slot][0] != (char)slot || munmap(maps[slot], sizes[slot]) != 0)
                check("mine", 0);
            maps[slot] = NULL;
        } else {
            sizes[slot] = (1 + (seed >> 20 & 15)) * PAGE;
            char *at = mmap(NULL, sizes[slot], PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (at == MAP_FAILED)
                continue;
            for (size_t page = 0; page < sizes[slot]; page += PAGE) {
                if (at[page] != 0)
                    check("new memory is zero", 0);
                at[page] = (char)slot;
            }
            maps[slot] = at;
        }
        if (i % 10 == 0 && maps[slot])
            mprotect(maps[slot], sizes[slot], i % 20 ? PROT_READ : PROT_READ | PROT_WRITE);
    }
    for (int slot = 0; slot < 8; slot++)
        if (maps[slot])
            munmap(maps[slot], sizes[slot]);
    return NULL;
}

static void mapping(void) {
    pthread_t made[60];
    int count = 60;
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    for (long i = 0; i < count; i++)
        if (pthread_create(&made[i], &small, map_at_random, (void *)i) != 0)
            exit(9);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < count; i++)
        pthread_join(made[i], NULL);
    printf("all came through\n");
}

static char *range;

static void *change_range(void *unused) {
    while (!is_over) {
        mprotect(range, 8 * PAGE, PROT_NONE);
        mprotect(range, 8 * PAGE, PROT_READ | PROT_WRITE);
        madvise(range, 8 * PAGE, MADV_DONTNEED);
        mmap(range, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        munmap(range + 4 * PAGE, PAGE);
        char *moved = mremap(range, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
        if (moved != MAP_FAILED)
            munmap(moved, 4 * PAGE);
        mmap(range, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    return unused;
}

static void *use_range(void *unused) {
    int zeros = open("/dev/zero", O_RDONLY), ends[2];
    if (pipe(ends) != 0)
        return unused;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < (wanted ? wanted : 2000); i++) {
        char *at = range + (i % 8) * PAGE + 8;
        if (read(zeros, at, PAGE) < 0 && errno != EFAULT)
            check("read", 0);
        if (write(ends[1], at, 64) < 0 && errno != EFAULT && errno != EAGAIN)
            check("write", 0);
        if (read(ends[0], at, 64) < 0 && errno != EFAULT && errno != EAGAIN)
            check("read back", 0);
        // Whoever waits for a word in it is refused, or not.
        struct timespec soon = {.tv_nsec = 1000};
        if (syscall(SYS_futex, at, 128, 0, &soon, NULL, 0) < 0 && errno != EFAULT && errno != EAGAIN && errno != ETIMEDOUT)
            check("futex", 0);
        if (sigsetjmp(back, 1) == 0)
            *(volatile char *)at = 0;
    }
    close(ends[0]);
    close(ends[1]);
    close(zeros);
    return unused;
}

// Memory changes below those who use it, by themselves and through the system.
static void races(void) {
    range = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_handler = caught, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    pthread_t changer;
    pthread_create(&changer, NULL, change_range, NULL);
    use_range(NULL);
    is_over = 1;
    pthread_join(changer, NULL);
    printf("went on\n");
}

int main(int count, char **arguments) {
    wanted = count > 2 ? atoi(arguments[2]) : 0;
    setvbuf(stdout, NULL, _IOLBF, 1024);
    static const struct {
        const char *name;
        void (*part)(void);
    } parts[] = {{"memory", memory}, {"threads", threads}, {"faults", faults}, {"signals", signals}, {"bomb", bomb},
        {"mapping", mapping}, {"races", races}};
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (count > 1 && strcmp(arguments[1], parts[i].name) == 0) {
            parts[i].part();
            return 0;
        }
    return 2;
}
