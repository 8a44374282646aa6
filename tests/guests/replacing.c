// How careful programs save: a temporary file, a sync, a rename; and the library's temporary files.
#include "story.h"
#include <sys/file.h>

static void save(const char *text) {
    char name[] = "saved.XXXXXX";
    int file = mkstemp(name);
    struct stat status;
    fstat(file, &status);
    printf("temporary file with mode %o\n", status.st_mode & 0777);
    (void)!write(file, text, strlen(text));
    show("sync", fsync(file));
    show("mode", fchmod(file, 0644));
    show("close", close(file));
    show("rename", rename(name, "saved"));
    int directory = open(".", O_RDONLY);
    show("sync the directory", fsync(directory));
    close(directory);
}

int main(void) {
    enter_story_directory();
    save("the first version\n");
    int old = open("saved", O_RDONLY);
    save("the second version\n");
    char text[100] = {0};
    (void)!read(old, text, 99);
    printf("who had it open reads %s", text);
    memset(text, 0, sizeof text);
    (void)!read(open("saved", O_RDONLY), text, 99);
    printf("who opens it now reads %s", text);

    char directory[] = "work.XXXXXX";
    check("mkdtemp", mkdtemp(directory) != NULL);
    struct stat status;
    stat(directory, &status);
    printf("its mode is %o\n", status.st_mode & 0777);
    rmdir(directory);
    FILE *nameless = tmpfile();
    check("tmpfile", nameless != NULL && fputs("some text", nameless) >= 0);
    rewind(nameless);
    check("reads back", fgets(text, sizeof text, nameless) && strcmp(text, "some text") == 0);
    fclose(nameless);

    int one = open("saved", O_RDWR), two = open("saved", O_RDWR);
    show("flock", flock(one, LOCK_EX));
    show("by another descriptor", flock(two, LOCK_EX | LOCK_NB));
    show("unlock", flock(one, LOCK_UN));
    show("now", flock(two, LOCK_SH | LOCK_NB));
    show("shared", flock(one, LOCK_SH | LOCK_NB));
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5};
    show("lock a range", fcntl(one, F_SETLK, &range));
    show("the same process may again", fcntl(two, F_SETLK, &range));
    range.l_type = F_RDLCK;
    show("ask", fcntl(two, F_GETLK, &range));
    show("nobody else holds it", range.l_type == F_UNLCK);
    range.l_type = F_UNLCK;
    show("unlock the range", fcntl(one, F_SETLK, &range));
    show("preallocate", posix_fallocate(one, 0, 100));
    fstat(one, &status);
    show("size", status.st_size);
    return 0;
}
