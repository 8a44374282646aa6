// What the system says about itself.
#include "story.h"
#include <sched.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

int main(void) {
    struct utsname name;
    show("uname", uname(&name));
    printf("%s on %s\n", name.sysname, name.machine);
    int major = 0, minor = 0;
    check("a release of two numbers", sscanf(name.release, "%d.%d", &major, &minor) == 2 && major >= 4);
    check("a host name", name.nodename[0] != 0);
    char host[100];
    show("gethostname", gethostname(host, sizeof host));
    check("is the same", strcmp(host, name.nodename) == 0);

    show("page size", sysconf(_SC_PAGESIZE));
    show("ticks", sysconf(_SC_CLK_TCK));
    check("open files", sysconf(_SC_OPEN_MAX) >= 256);
    check("arguments", sysconf(_SC_ARG_MAX) >= 131072);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    check("processors", processors >= 1 && sysconf(_SC_NPROCESSORS_CONF) >= processors);
    check("memory", sysconf(_SC_PHYS_PAGES) > 1000 && sysconf(_SC_AVPHYS_PAGES) > 0);
    cpu_set_t set;
    show("affinity", sched_getaffinity(0, sizeof set, &set));
    check("as many as that", CPU_COUNT(&set) >= 1 && CPU_COUNT(&set) <= processors);
    check("this one is among them", CPU_ISSET((size_t)sched_getcpu(), &set));
    unsigned cpu = 999, node = 999;
    show("getcpu", syscall(SYS_getcpu, &cpu, &node, NULL));
    check("plausible", cpu < 4096 && node < 64);

    struct sysinfo info;
    show("sysinfo", sysinfo(&info));
    check("memory", info.totalram > 0 && info.freeram <= info.totalram && info.mem_unit > 0);
    struct rlimit limit;
    int resources[] = {RLIMIT_STACK, RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_DATA, RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_FSIZE};
    for (int i = 0; i < 7; i++)
        check("a limit", getrlimit(resources[i], &limit) == 0 && limit.rlim_cur <= limit.rlim_max);
    show("an unknown limit", syscall(SYS_getrlimit, 99, &limit));
    struct rlimit new = {100, 100}, old;
    getrlimit(RLIMIT_NOFILE, &new);
    new.rlim_cur = 64;
    show("prlimit", prlimit(0, RLIMIT_NOFILE, &new, &old));
    getrlimit(RLIMIT_NOFILE, &new);
    show("it holds", (long)new.rlim_cur);
    new.rlim_cur = 100;
    new.rlim_max = 50;
    show("more than the most", setrlimit(RLIMIT_NOFILE, &new));
    struct rusage usage;
    show("usage", getrusage(RUSAGE_SELF, &usage));

    struct statfs space;
    show("statfs", statfs(".", &space));
    check("blocks", space.f_bsize >= 512 && space.f_bfree <= space.f_blocks && space.f_namelen >= 255);
    show("statfs of nothing", statfs("absent", &space));
    struct statvfs portable;
    show("statvfs", statvfs("/tmp", &portable));
    check("block size", portable.f_bsize >= 512);
    show("name length", (long)pathconf(".", _PC_NAME_MAX));
    return 0;
}
