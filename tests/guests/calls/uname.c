// uname, sysinfo, getrusage, times, getcpu, personality: what the system says of itself.
#include "../story.h"
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

static void burn(void) {
    while (seconds_between((struct timespec){0}, now(CLOCK_PROCESS_CPUTIME_ID)) < 0.03)
        getppid();
}

int main(void) {
    struct utsname names;
    SHOW(uname(&names));
    puts(names.sysname);
    puts(names.machine);
    CHECK(names.release[0] >= '4' && strlen(names.version) > 0 && strlen(names.nodename) > 0);
    SHOW(syscall(SYS_uname, NOWHERE));
    struct sysinfo info;
    memset(&info, 0x55, sizeof info);
    SHOW(sysinfo(&info));
    CHECK(info.uptime >= 0 && info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit >= 1 && info.procs >= 1);
    SHOW(syscall(SYS_sysinfo, NOWHERE));

    struct rusage usage;
    burn();
    SHOW(getrusage(RUSAGE_SELF, &usage));
    long used = usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec * 1000000 + usage.ru_stime.tv_usec;
    CHECK(used > 1000 && used < 20000000);
    CHECK(usage.ru_maxrss > 0);
    SHOW(getrusage(RUSAGE_THREAD, &usage));
    SHOW(getrusage(RUSAGE_CHILDREN, &usage));
    SHOW(usage.ru_utime.tv_sec + usage.ru_maxrss);
    in_a_child(burn);
    SHOW(getrusage(RUSAGE_CHILDREN, &usage));
    CHECK(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec > 0 && usage.ru_maxrss > 0);
    SHOW(getrusage(5, &usage));
    SHOW(getrusage(-5, &usage));
    SHOW(getrusage(RUSAGE_SELF, NOWHERE));

    struct tms spent;
    clock_t first = times(&spent);
    CHECK(first != -1 && spent.tms_utime + spent.tms_stime >= 0 && spent.tms_cutime + spent.tms_cstime >= 0);
    usleep(30000);
    clock_t passed = times(NULL) - first;
    CHECK(passed >= 2 && passed < 100);
    SHOW(syscall(SYS_times, NOWHERE));

    unsigned cpu = 9999, node = 9999;
    SHOW(syscall(SYS_getcpu, &cpu, &node, NULL));
    CHECK(cpu < 4096 && node < 1024);
    SHOW(syscall(SYS_getcpu, NULL, NULL, NULL));
    SHOW(syscall(SYS_getcpu, NOWHERE, NULL, NULL));
    SHOW(syscall(SYS_getcpu, NULL, NOWHERE, NULL));
    SHOW(personality(0xffffffff));
    SHOW(personality(PER_LINUX));
    SHOW(personality(0xffffffff));
    return 0;
}
