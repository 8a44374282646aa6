// Many files in a directory that changes while it is read.
#include "../story.h"
#include <dirent.h>

enum { COUNT = 60 };

static int seen[COUNT];

static int list(DIR *directory, int *twice) {
    int count = 0, number;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (sscanf(entry->d_name, "file-%d", &number) == 1) {
            count++;
            *twice += seen[number]++ > 0;
        }
    return count;
}

int main(void) {
    enter_story_directory();
    char name[32];
    int twice = 0;
    mkdir("d", 0755);
    chdir("d");
    for (int i = 0; i < COUNT; i++) {
        sprintf(name, "file-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    DIR *directory = opendir(".");
    printf("%d files, %d twice\n", list(directory, &twice), twice);
    rewinddir(directory);
    memset(seen, 0, sizeof seen);
    printf("%d files, %d twice\n", list(directory, &twice), twice);
    // What is removed on the way may be seen or not, what stays is seen once.
    rewinddir(directory);
    memset(seen, 0, sizeof seen);
    int number, removed = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (sscanf(entry->d_name, "file-%d", &number) == 1) {
            twice += seen[number]++ > 0;
            if (number % 2 == 0)
                removed += unlink(entry->d_name) == 0;
        }
    int missed = 0;
    for (int i = 0; i < COUNT; i++)
        missed += seen[i] == 0;
    printf("%d removed, %d missed, %d twice\n", removed, missed, twice);
    rewinddir(directory);
    memset(seen, 0, sizeof seen);
    printf("%d files, %d twice\n", list(directory, &twice), twice);
    closedir(directory);
    struct stat status;
    int found = 0;
    for (int i = 0; i < COUNT; i++) {
        sprintf(name, "file-%d", i);
        found += stat(name, &status) == 0;
        unlink(name);
    }
    SHOW(found);
    SHOW(chdir(".."));
    SHOW(rmdir("d"));
    return 0;
}
