// What programs read in /proc about themselves and the machine.
#include "story.h"
#include <dirent.h>

static char text[1 << 20];

static long load(const char *path) {
    int file = open(path, O_RDONLY);
    if (file < 0)
        return -1;
    long total = 0;
    for (ssize_t count; (count = read(file, text + total, sizeof text - 1 - (size_t)total)) > 0;)
        total += count;
    text[total] = 0;
    close(file);
    return total;
}

int main(int argc, char **argv) {
    char path[4096] = {0}, directory[4096];
    (void)argc;
    check("exe is a link", readlink("/proc/self/exe", path, sizeof path - 1) > 0);
    const char *base = strrchr(path, '/');
    printf("exe ends in %s\n", base ? base + 1 : path);
    struct stat by_link, by_name;
    check("exe is this program", stat("/proc/self/exe", &by_link) == 0 && stat(argv[0], &by_name) == 0 &&
                                     by_link.st_ino == by_name.st_ino && by_link.st_size == by_name.st_size);
    check("cwd", readlink("/proc/self/cwd", directory, sizeof directory) == (long)strlen(getcwd(path, sizeof path)));

    long length = load("/proc/self/cmdline");
    printf("cmdline:");
    for (long i = 0; i < length; i += (long)strlen(text + i) + 1)
        printf(" [%s]", text + i);
    putchar('\n');
    load("/proc/self/comm");
    printf("comm: %s", text);
    load("/proc/self/environ");
    check("environ", memmem(text, sizeof text, "STORY_MARK=here", 15) != NULL);

    check("maps", load("/proc/self/maps") > 200);
    check("maps name the stack", strstr(text, "[stack]") != NULL);
    unsigned long from, to, mine = (unsigned long)&mine, code = (unsigned long)(uintptr_t)main;
    int stack = 0, program = 0, is_sorted = 1;
    unsigned long last = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char rights[8];
        sscanf(line, "%lx-%lx %7s", &from, &to, rights);
        is_sorted &= from >= last && to > from;
        last = to;
        stack |= mine >= from && mine < to && strncmp(rights, "rw-p", 4) == 0;
        program |= code >= from && code < to && strncmp(rights, "r-xp", 4) == 0;
    }
    check("maps are in order", is_sorted);
    check("the stack can be written", stack);
    check("the code can be run", program);

    load("/proc/self/status");
    char *line = strstr(text, "Pid:");
    check("status: identifier", line && atoi(strchr(line, ':') + 1) == getpid());
    check("status: memory", strstr(text, "VmRSS:") != NULL && strstr(text, "VmSize:") != NULL);
    check("status: threads", strstr(text, "Threads:\t1\n") != NULL);
    load("/proc/self/stat");
    check("stat: identifier", atoi(text) == getpid());
    load("/proc/self/statm");
    check("statm", atoi(text) > 0);

    check("cpuinfo", load("/proc/cpuinfo") > 50 && strstr(text, "processor\t: 0") != NULL);
    long count = 0;
    for (char *place = text; (place = strstr(place, "processor\t")); place++)
        count++;
    check("as many processors as the library says", count == sysconf(_SC_NPROCESSORS_ONLN));
    load("/proc/meminfo");
    line = strstr(text, "MemTotal:");
    check("meminfo: total", line && atol(line + 9) > 1000);
    check("meminfo: available", strstr(text, "MemAvailable:") != NULL);
    check("stat", load("/proc/stat") > 0 && strncmp(text, "cpu", 3) == 0);
    check("uptime", load("/proc/uptime") > 0 && atof(text) > 0);
    check("version", load("/proc/version") > 0 && strncmp(text, "Linux version ", 14) == 0);
    check("filesystems", load("/proc/filesystems") > 0);
    check("mounts", load("/proc/self/mounts") > 0 && strstr(text, " / ") != NULL);

    close_range(3, ~0U, 0);
    int file = open("/dev/null", O_RDONLY);
    DIR *fds = opendir("/proc/self/fd");
    int seen = 0;
    for (struct dirent *entry; fds && (entry = readdir(fds));)
        seen += entry->d_name[0] != '.';
    show("open descriptors, with the listing's own", seen);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    char target[100] = {0};
    (void)!readlink(path, target, 99);
    printf("descriptor %d is %s\n", file, target);
    snprintf(path, sizeof path, "/proc/%d/stat", getpid());
    check("by its number", load(path) > 0 && atoi(text) == getpid());
    show("nobody", load("/proc/999999/stat"));
    show("proc cannot be written to", open("/proc/new", O_CREAT | O_WRONLY, 0644) >= 0 ? 0 : -1);
    return 0;
}
