// What programs read about the machine in /sys and /proc: it must agree with what the calls say.
#include "story.h"
#include <dirent.h>
#include <sched.h>
#include <sys/vfs.h>

static char text[1 << 20];

static const char *contents(const char *path) {
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof(text) - 1, file) : 0;
    text[length] = 0;
    if (file)
        fclose(file);
    else
        printf("FAIL %s: %s\n", path, strerrorname_np(errno));
    return text;
}

// How many numbers a list like 0-3,5 has.
static int count_list(const char *list) {
    int count = 0;
    while (*list >= '0' && *list <= '9') {
        char *end;
        long first = strtol(list, &end, 10), last = first;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        count += (int)(last - first + 1);
        list = *end == ',' ? end + 1 : end;
    }
    return count;
}

// How many bits a mask like 3,ffffffff has.
static int count_mask(const char *mask) {
    int count = 0;
    for (; *mask && *mask != '\n'; mask++)
        if (*mask != ',')
            count += __builtin_popcount((unsigned)strtoul((char[]){*mask, 0}, NULL, 16));
    return count;
}

static long number_after(const char *what) {
    const char *at = strstr(text, what);
    return at ? strtol(at + strlen(what), NULL, 10) : -1;
}

static void processors(void) {
    int online = count_list(contents("/sys/devices/system/cpu/online"));
    check("online", online == sysconf(_SC_NPROCESSORS_ONLN));
    check("possible", count_list(contents("/sys/devices/system/cpu/possible")) >= online);
    check("present", count_list(contents("/sys/devices/system/cpu/present")) >= online);
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    check("affinity", CPU_COUNT(&set) <= online);
    int described = 0, directories = 0;
    for (const char *at = contents("/proc/cpuinfo"); (at = strstr(at, "processor\t:")); at++)
        described++;
    check("cpuinfo", described == online);
    check("flags", strstr(text, "\nflags\t\t: ") != NULL);
    for (const char *flag = "fpu\0cx8\0sse2\0lm\0syscall\0"; *flag; flag += strlen(flag) + 1) {
        char word[32];
        snprintf(word, sizeof(word), " %s ", flag);
        check(flag, strstr(text, word) != NULL);
    }
    DIR *directory = opendir("/sys/devices/system/cpu");
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        directories += strncmp(entry->d_name, "cpu", 3) == 0 && entry->d_name[3] >= '0' && entry->d_name[3] <= '9';
    check("directories", directories >= online);
    check("package", count_list(contents("/sys/devices/system/cpu/cpu0/topology/package_cpus_list")) >= 1);
    int in_list = count_list(contents("/sys/devices/system/cpu/cpu0/topology/core_siblings_list"));
    check("a mask is its list", count_mask(contents("/sys/devices/system/cpu/cpu0/topology/core_siblings")) == in_list);
    int own = count_list(contents("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"));
    check("its own", count_mask(contents("/sys/devices/system/cpu/cpu0/topology/thread_siblings")) == own);
    check("core", strtol(contents("/sys/devices/system/cpu/cpu0/topology/core_id"), NULL, 10) >= 0);
    works("no such CPU", open("/sys/devices/system/cpu/cpu99999/topology/core_id", O_RDONLY));
    works("nothing to write", open("/sys/devices/system/cpu/present", O_WRONLY));
}

static void memory(void) {
    check("processors of the node", count_list(contents("/sys/devices/system/node/node0/cpulist")) >= 1);
    contents("/sys/devices/system/node/node0/meminfo");
    long of_node = number_after("Node 0 MemTotal:");
    contents("/proc/meminfo");
    long total = number_after("MemTotal:");
    check("memory of the node", of_node > 0 && of_node <= total + total / 8);
    check("sysconf", sysconf(_SC_PHYS_PAGES) / 256 <= total / 1024 + 1);
    contents("/sys/kernel/mm/transparent_hugepage/enabled");
    check("large pages", strchr(text, '[') && strchr(text, ']') && strstr(text, "madvise"));
    struct statfs status;
    check("sysfs", statfs("/sys", &status) == 0 && status.f_type == 0x62656572);
    struct stat file;
    check("a page", stat("/sys/devices/system/cpu/online", &file) == 0 && file.st_size == 4096);
}

static void own(void) {
    size_t length = 8 << 20;
    char *some = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(some, 1, length);
    contents("/proc/self/smaps");
    char start[32];
    snprintf(start, sizeof(start), "%lx-", (unsigned long)some);
    check("the kinds of numbers", strstr(text, "\nPrivate_Dirty: ") && strstr(text, "\nVmFlags: rd "));
    long sum = 0;
    for (const char *at = text; (at = strstr(at, "\nRss:")); at++)
        sum += strtol(at + 5, NULL, 10);
    check("what is there", sum >= 8 << 10);
    contents("/proc/self/smaps_rollup");
    check("all of it", number_after("\nRss:") >= 8 << 10 && number_after("\nPrivate_Dirty:") >= 8 << 10);
    check("its share", number_after("\nPss:") <= number_after("\nRss:"));
    unsigned long pages[7] = {0};
    contents("/proc/self/statm");
    sscanf(text, "%lu %lu %lu %lu %lu %lu %lu", pages, pages + 1, pages + 2, pages + 3, pages + 4, pages + 5, pages + 6);
    check("statm", pages[1] >= 1800 && pages[2] <= pages[1] && pages[5] >= 1800 && pages[3] > 0);
    contents("/proc/self/status");
    // Linux counts these per processor first, and tells a little less.
    check("anonymous", number_after("RssAnon:") >= 7 << 10);
    check("together", number_after("RssAnon:") + number_after("RssFile:") + number_after("RssShmem:") == number_after("VmRSS:"));
    check("stack", number_after("VmStk:") > 0);
    check("code", number_after("VmExe:") > 0);
    contents("/proc/self/io");
    check("io", number_after("rchar: ") >= 0 && number_after("write_bytes: ") >= 0);
    check("sched", strstr(contents("/proc/self/sched"), "se.sum_exec_runtime") != NULL);
    static const char *files[] = {"kernel/pid_max", "kernel/threads-max", "kernel/osrelease", "kernel/hostname", "kernel/random/boot_id",
        "kernel/core_pattern", "kernel/tainted", "vm/overcommit_memory", "vm/max_map_count", "vm/nr_hugepages", "fs/file-max", "fs/file-nr",
        "fs/nr_open", "fs/pipe-max-size", "fs/inotify/max_user_watches", "net/core/somaxconn", "net/ipv4/ip_local_port_range"};
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        char path[96];
        snprintf(path, sizeof(path), "/proc/sys/%s", files[i]);
        check(files[i], contents(path)[0] != 0);
    }
}

int main(void) {
    processors();
    memory();
    own();
    return 0;
}
