// getrlimit, setrlimit, prlimit64: what is stored, who may raise it, and whose it is.
#include "../story.h"
#include <sys/resource.h>

static void child(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    printf("inherited %ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
}

int main(void) {
    struct rlimit limit, old;
    for (int i = 0; i < RLIM_NLIMITS; i++)
        if (getrlimit((__rlimit_resource_t)i, &limit) != 0 || limit.rlim_cur > limit.rlim_max)
            printf("FAIL %d\n", i);
    SHOW(getrlimit(RLIM_NLIMITS, &limit));
    SHOW(syscall(SYS_getrlimit, -1, &limit));
    SHOW(syscall(SYS_getrlimit, RLIMIT_NOFILE, NOWHERE));
    SHOW(syscall(SYS_setrlimit, RLIMIT_NOFILE, NOWHERE));
    limit = (struct rlimit){5, 4};
    SHOW(setrlimit(RLIMIT_CORE, &limit));
    limit = (struct rlimit){1000, 2000};
    SHOW(setrlimit(RLIMIT_CORE, &limit));
    SHOW(getrlimit(RLIMIT_CORE, &old));
    printf("%ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
    limit.rlim_cur = 2000;
    SHOW(setrlimit(RLIMIT_CORE, &limit));
    limit.rlim_cur = 0;
    SHOW(setrlimit(RLIMIT_CORE, &limit));
    limit.rlim_max = 3000;
    long result = setrlimit(RLIMIT_CORE, &limit);
    // It takes a capability that user 0 may have.
    check("raised or refused", result == 0 || errno == EPERM);
    limit = (struct rlimit){7, 8};
    SHOW(setrlimit(RLIMIT_CORE, &limit));
    in_a_child(child);
    SHOW(prlimit(0, RLIMIT_CORE, NULL, &old));
    SHOW(old.rlim_cur);
    limit = (struct rlimit){1, 8};
    SHOW(prlimit(getpid(), RLIMIT_CORE, &limit, &old));
    SHOW(old.rlim_cur);
    SHOW(prlimit(getpid(), RLIMIT_CORE, NULL, &old));
    SHOW(old.rlim_cur);
    SHOW(prlimit(0, RLIMIT_CORE, NULL, NULL));
    SHOW(prlimit(-1, RLIMIT_CORE, NULL, &old));
    SHOW(prlimit(0x3fffffff, RLIMIT_CORE, NULL, &old));
    SHOW(prlimit(0, 99, NULL, &old));
    SHOW(prlimit(0, RLIMIT_CORE, NOWHERE, NULL));
    SHOW(prlimit(0, RLIMIT_CORE, NULL, NOWHERE));
    limit = (struct rlimit){9, 8};
    SHOW(prlimit(0, RLIMIT_CORE, &limit, NULL));
    // The number of descriptors is more than stored.
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 5;
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    int count = 0;
    while (dup(0) >= 0)
        count++;
    SHOW(count);
    return 0;
}
