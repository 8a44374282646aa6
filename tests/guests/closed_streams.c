// What a program sees of standard streams that it was started without: it tells by its exit status.
#include "story.h"

int main(int argc, char **argv) {
    char byte;
    int code = 0;
    (void)argc;
    if (argv[1][0] == 'i')
        code = read(0, &byte, 1) == -1 ? errno : 100;
    if (argv[1][0] == 'o')
        code = write(1, "x", 1) == -1 ? errno : 100;
    if (argv[1][0] == 'e')
        code = write(2, "x", 1) == -1 ? errno : 100;
    if (argv[1][0] == 'z') {
        // Closing one's own: the next file takes its place.
        close(0);
        code = open("/dev/null", O_RDONLY) == 0 ? 50 : 51;
    }
    return code;
}
