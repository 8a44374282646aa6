// A file without a name lives as long as it is open or mapped, and can do everything but be found.
#include "../story.h"

int main(void) {
    enter_story_directory();
    char text[16] = {0};
    struct stat status;
    int file = new_file("file", "0123456789"), other = open("file", O_RDONLY);
    char *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    SHOW(unlink("file"));
    SHOW(access("file", F_OK));
    SHOW(fstat(file, &status));
    SHOW(status.st_nlink);
    SHOW(pwrite(file, "abc", 3, 10));
    SHOW(pread(other, text, 15, 0));
    puts(text);
    mapped[0] = 'M';
    SHOW(pread(other, text, 1, 0));
    printf("%c\n", text[0]);
    SHOW(ftruncate(file, 5));
    SHOW(lseek(other, 0, SEEK_END));
    SHOW(fchmod(file, 0600));
    SHOW(fsync(file));
    SHOW(close(file));
    SHOW(close(other));
    printf("%.5s\n", mapped);
    // The name belongs to another file now.
    file = new_file("file", "another");
    printf("%.5s\n", mapped);
    SHOW(munmap(mapped, 4096));
    SHOW(linkat(AT_FDCWD, "file", AT_FDCWD, "second", 0));
    SHOW(unlink("file"));
    SHOW(fstat(file, &status));
    SHOW(status.st_nlink);
    SHOW(rename("second", "file"));
    SHOW(write(open("file", O_WRONLY | O_TRUNC), "new", 3));
    SHOW(pread(file, text, 15, 0));
    // Over it another one is renamed: who has it open keeps it.
    close(new_file("better", "better"));
    SHOW(rename("better", "file"));
    SHOW(pread(file, text, 15, 0));
    SHOW(pread(open("file", O_RDONLY), text, 15, 0));
    SHOW(fstat(file, &status));
    SHOW(status.st_nlink);
    return 0;
}
