// sched_*, getpriority, setpriority: policies, masks of processors, and niceness.
#include "../story.h"
#include <sched.h>
#include <sys/resource.h>

static void child(void) {
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(sched_getscheduler(0));
}

int main(void) {
    SHOW(sched_yield());
    SHOW(sched_get_priority_max(SCHED_OTHER));
    SHOW(sched_get_priority_min(SCHED_FIFO));
    SHOW(sched_get_priority_max(SCHED_FIFO));
    SHOW(sched_get_priority_max(SCHED_RR));
    SHOW(sched_get_priority_max(SCHED_BATCH));
    SHOW(sched_get_priority_min(SCHED_IDLE));
    SHOW(sched_get_priority_max(77));
    SHOW(sched_get_priority_min(-1));
    struct sched_param parameter = {.sched_priority = 0};
    SHOW(sched_getscheduler(0));
    SHOW(sched_getscheduler(getpid()));
    SHOW(sched_getscheduler(-1));
    SHOW(sched_getscheduler(0x3fffffff));
    SHOW(sched_getparam(0, &parameter));
    SHOW(parameter.sched_priority);
    SHOW(sched_getparam(-1, &parameter));
    SHOW(sched_getparam(0x3fffffff, &parameter));
    SHOW(sched_getparam(0, NULL));
    SHOW(sched_getparam(0, NOWHERE));
    SHOW(sched_setscheduler(0, SCHED_OTHER, &parameter));
    SHOW(sched_setscheduler(-1, SCHED_OTHER, &parameter));
    SHOW(sched_setscheduler(0x3fffffff, SCHED_OTHER, &parameter));
    SHOW(sched_setscheduler(0, 77, &parameter));
    SHOW(sched_setscheduler(0, -1, &parameter));
    SHOW(sched_setscheduler(0, SCHED_OTHER, NULL));
    SHOW(sched_setparam(0, &parameter));
    SHOW(sched_setparam(-1, &parameter));
    SHOW(sched_setparam(0, NULL));
    parameter.sched_priority = 1;
    SHOW(sched_setscheduler(0, SCHED_OTHER, &parameter));
    SHOW(sched_setparam(0, &parameter));
    parameter.sched_priority = 100;
    SHOW(sched_setscheduler(0, SCHED_FIFO, &parameter));
    parameter.sched_priority = 0;
    SHOW(sched_setscheduler(0, SCHED_FIFO, &parameter));
    SHOW(sched_setscheduler(0, SCHED_BATCH, &parameter));
    SHOW(sched_getscheduler(0));
    SHOW(sched_setscheduler(0, SCHED_OTHER, &parameter));

    cpu_set_t set, one;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) >= 1);
    SHOW(sched_setaffinity(0, sizeof set, &set));
    int first = 0;
    while (!CPU_ISSET(first, &set))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    SHOW(sched_setaffinity(getpid(), sizeof one, &one));
    SHOW(sched_getaffinity(0, sizeof set, &set));
    SHOW(CPU_EQUAL(&set, &one));
    CPU_ZERO(&one);
    SHOW(sched_setaffinity(0, sizeof one, &one));
    SHOW(sched_setaffinity(0, 0, &set));
    SHOW(sched_setaffinity(0, sizeof set, NOWHERE));
    SHOW(sched_setaffinity(-1, sizeof set, &set));
    SHOW(sched_setaffinity(0x3fffffff, sizeof set, &set));
    SHOW(sched_getaffinity(0, 1, &set));
    SHOW(sched_getaffinity(0, 12, &set));
    SHOW(sched_getaffinity(0, sizeof set, NOWHERE));
    SHOW(sched_getaffinity(-1, sizeof set, &set));
    SHOW(sched_getaffinity(0x3fffffff, sizeof set, &set));

    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 5));
    SHOW(getpriority(PRIO_PROCESS, getpid()));
    SHOW(setpriority(PRIO_PROCESS, getpid(), 100));
    SHOW(getpriority(PRIO_PROCESS, 0));
    long result = setpriority(PRIO_PROCESS, 0, 0);
    check("only user 0 goes back", geteuid() == 0 ? result == 0 : result == -1 && errno == EACCES);
    setpriority(PRIO_PROCESS, 0, 19);
    SHOW(setpriority(9, 0, 0));
    SHOW(getpriority(9, 0));
    SHOW(getpriority(PRIO_PROCESS, 0x3fffffff));
    SHOW(setpriority(PRIO_PROCESS, 0x3fffffff, 0));
    SHOW(getpriority(PRIO_PGRP, 0x3fffffff));
    in_a_child(child);
    return 0;
}
