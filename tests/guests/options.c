// Options of a command line, short and long.
#include "story.h"
#include <getopt.h>

int main(int argc, char **argv) {
    static const struct option known[] = {
        {"verbose", no_argument, NULL, 'v'}, {"output", required_argument, NULL, 'o'}, {"level", optional_argument, NULL, 'l'}, {0}};
    int letter;
    while ((letter = getopt_long(argc, argv, "vo:l::", known, NULL)) != -1)
        printf("option %c, value %s\n", letter, optarg ? optarg : "none");
    for (int i = optind; i < argc; i++)
        printf("operand %s\n", argv[i]);
    return 0;
}
