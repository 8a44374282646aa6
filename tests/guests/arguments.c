// Arguments arrive as they were given: empty, with spaces, with bytes that are no text.
#include "story.h"

int main(int argc, char **argv) {
    printf("%d arguments\n", argc);
    for (int i = 0; i < argc; i++) {
        printf("%d [", i);
        for (const char *c = argv[i]; *c; c++)
            printf(*c >= ' ' && *c < 127 ? "%c" : "\\x%02x", (unsigned char)*c);
        printf("] %zu bytes\n", strlen(argv[i]));
    }
    check("the list ends with null", argv[argc] == NULL);
    printf("invoked as %s, for short %s\n", program_invocation_name, program_invocation_short_name);
    return 0;
}
