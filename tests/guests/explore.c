// Looks around in the file system: each pair of arguments is a question and a path.
//
//   see PATH     what it is, or why it cannot be seen       list PATH    its names, in order
//   read PATH    its content                                write PATH   makes it, with the text "written\n"
//   make PATH    makes a directory                          remove PATH  removes a file
//   go PATH      changes the current directory              where -      prints the current directory
#include "story.h"
#include <dirent.h>

static int by_name(const struct dirent **left, const struct dirent **right) {
    return strcmp((*left)->d_name, (*right)->d_name);
}

static void result(const char *question, const char *path, long value) {
    printf("%s %s: %s\n", question, path, value == -1 ? strerrorname_np(errno) : "works");
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *question = argv[i], *path = argv[i + 1];
        struct stat status;
        if (strcmp(question, "see") == 0) {
            if (lstat(path, &status) != 0)
                result(question, path, -1);
            else
                printf("see %s: %s\n", path,
                       S_ISDIR(status.st_mode)   ? "directory"
                       : S_ISREG(status.st_mode) ? "file"
                       : S_ISLNK(status.st_mode) ? "link"
                       : S_ISCHR(status.st_mode) ? "device"
                                                 : "something");
        } else if (strcmp(question, "list") == 0) {
            struct dirent **names;
            int count = scandir(path, &names, NULL, by_name);
            if (count < 0) {
                result(question, path, -1);
                continue;
            }
            printf("list %s:", path);
            for (int k = 0; k < count; k++)
                if (strcmp(names[k]->d_name, ".") != 0 && strcmp(names[k]->d_name, "..") != 0)
                    printf(" %s", names[k]->d_name);
            putchar('\n');
        } else if (strcmp(question, "read") == 0) {
            int file = open(path, O_RDONLY);
            if (file < 0) {
                result(question, path, -1);
                continue;
            }
            char text[4096];
            for (ssize_t count; (count = read(file, text, sizeof text)) > 0;)
                fwrite(text, 1, (size_t)count, stdout);
            close(file);
        } else if (strcmp(question, "write") == 0) {
            int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            result(question, path, file < 0 ? -1 : write(file, "written\n", 8) | close(file));
        } else if (strcmp(question, "make") == 0) {
            result(question, path, mkdir(path, 0755));
        } else if (strcmp(question, "remove") == 0) {
            result(question, path, unlink(path));
        } else if (strcmp(question, "go") == 0) {
            result(question, path, chdir(path));
        } else if (strcmp(question, "where") == 0) {
            char here[4096];
            printf("where %s\n", getcwd(here, sizeof here));
        }
    }
    return 0;
}
