// The C library's files: lines, numbers, positions, buffers, and reading what was written.
#include "story.h"

int main(void) {
    enter_story_directory();
    FILE *file = fopen("lines", "w");
    for (int i = 1; i <= 500; i++)
        fprintf(file, "%d %s %.3f\n", i, i % 15 == 0 ? "fizzbuzz" : i % 5 == 0 ? "buzz" : i % 3 == 0 ? "fizz" : "-", i / 7.0);
    show("position", ftell(file));
    show("close", fclose(file));
    file = fopen("lines", "r");
    char *line = NULL;
    size_t room = 0, longest = 0;
    long sum = 0;
    int count = 0, number;
    char word[20];
    double value, total = 0;
    for (ssize_t length; (length = getline(&line, &room, file)) > 0; count++) {
        if ((size_t)length > longest)
            longest = (size_t)length;
        if (sscanf(line, "%d %19s %lf", &number, word, &value) != 3)
            puts("FAIL a line");
        sum += number;
        total += value;
    }
    printf("%d lines, the longest of %zu bytes, sum %ld, total %.3f\n", count, longest, sum, total);
    show("end", feof(file));
    show("seek", fseek(file, 100, SEEK_SET));
    printf("%s", fgets(line, 50, file));
    int c = fgetc(file);
    show("one back", ungetc(c, file) == c);
    show("and again", fgetc(file) == c);
    show("seek to the end", fseek(file, -5, SEEK_END));
    show("read", (long)fread(line, 1, 100, file));
    rewind(file);
    fclose(file);

    file = fopen("lines", "r+");
    fseek(file, 0, SEEK_SET);
    fputs("REPLACED", file);
    fflush(file);
    rewind(file);
    printf("%s", fgets(line, 50, file));
    fclose(file);
    file = fopen("lines", "a+");
    fputs("appended\n", file);
    show("appended at", ftell(file));
    fclose(file);
    file = fopen("binary", "wb+");
    unsigned char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (unsigned char)i;
    setvbuf(file, NULL, _IOFBF, 64);
    show("write", (long)fwrite(bytes, 16, 16, file));
    rewind(file);
    unsigned char back[256];
    show("read", (long)fread(back, 1, 256, file));
    show("equal", memcmp(bytes, back, 256) == 0);
    fclose(file);
    show("no such file", fopen("absent", "r") ? 0 : -1);
    show("exclusively", fopen("binary", "wx") ? 0 : -1);
    show("remove", remove("binary"));
    char memory[64];
    FILE *in_memory = fmemopen(memory, sizeof memory, "w");
    fprintf(in_memory, "in memory %d", 42);
    fclose(in_memory);
    puts(memory);
    fprintf(stderr, "to standard error: %s\n", "unbuffered");
    errno = EAGAIN;
    perror("perror says");
    errno = ENOENT;
    perror("then says");
    return 0;
}
