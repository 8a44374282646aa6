// umask: what new files do not get, of whatever kind.
#include "../story.h"

static void made(const char *what, int result, const char *name) {
    struct stat status = {0};
    lstat(name, &status);
    printf("%s: %d %o\n", what, result, status.st_mode);
}

int main(void) {
    enter_story_directory();
    umask(0);
    SHOW(umask(0777));
    SHOW(umask(07777));
    SHOW(umask(-1));
    SHOW(umask(0));
    static const mode_t masks[] = {0, 022, 027, 077, 0177, 0777};
    for (int i = 0; i < 6; i++) {
        umask(masks[i]);
        printf("mask %o\n", masks[i]);
        made("file", open("file", O_CREAT | O_WRONLY, 0666) >= 0, "file");
        made("directory", mkdir("directory", 0777), "directory");
        made("pipe", mkfifo("pipe", 0666), "pipe");
        symlink("x", "link");
        unlink("file");
        rmdir("directory");
        unlink("pipe");
        unlink("link");
    }
    umask(027);
    pid_t child = fork();
    if (child == 0)
        _exit(umask(0) == 027 ? 3 : 4);
    int status;
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    SHOW(umask(0));
    return 0;
}
