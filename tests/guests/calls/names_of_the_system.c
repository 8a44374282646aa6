// sethostname, setdomainname: what they are then called by uname and in /proc. In a namespace of its own, natively.
#include "../story.h"
#include <sched.h>
#include <sys/utsname.h>

static void print(void) {
    struct utsname names;
    uname(&names);
    printf("%s, %s\n", names.nodename, names.domainname);
    char text[100];
    const char *files[] = {"/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname"};
    for (int i = 0; i < 2; i++) {
        int file = open(files[i], O_RDONLY);
        ssize_t len = read(file, text, sizeof text);
        write(1, text, (size_t)(len < 0 ? 0 : len));
        close(file);
    }
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    // A partition is one. No host is to be renamed.
    struct utsname names;
    uname(&names);
    if (strstr(names.version, "Septum") == NULL && unshare(CLONE_NEWUTS) != 0) {
        perror("unshare");
        return 1;
    }
    char long_name[65];
    memset(long_name, 'x', sizeof long_name);
    SHOW(sethostname("first", 5));
    SHOW(setdomainname("somewhere", 9));
    print();
    SHOW(sethostname("second one", 6));
    print();
    SHOW(sethostname(long_name, 65));
    SHOW(sethostname(long_name, 64));
    print();
    SHOW(sethostname("", 0));
    SHOW(sethostname("x", (size_t)-1));
    SHOW(sethostname(NOWHERE, 5));
    SHOW(setdomainname(NOWHERE, 5));
    fflush(stdout);
    if (fork() == 0) {
        setuid(1000);
        SHOW(sethostname("third", 5));
        SHOW(setdomainname("third", 5));
        _exit(0);
    }
    wait(NULL);
    return 0;
}
