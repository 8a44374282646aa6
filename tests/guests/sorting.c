// Sorting and searching: qsort, bsearch, trees and hash tables of the C library.
#include "story.h"
#include <search.h>

static int ascending(const void *left, const void *right) {
    int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

static int visits;
static void visit(const void *node, VISIT when, int level) {
    (void)level;
    if (when == postorder || when == leaf) {
        visits++;
        if (visits % 40 == 0)
            printf(" %d", **(int *const *)node);
    }
}

int main(void) {
    enum { COUNT = 20000 };
    static int numbers[COUNT];
    unsigned state = 1;
    for (int i = 0; i < COUNT; i++)
        numbers[i] = (int)((state = state * 1103515245u + 12345u) >> 8) % 100000;
    qsort(numbers, COUNT, sizeof *numbers, ascending);
    int is_sorted = 1;
    unsigned long hash = 0;
    for (int i = 0; i < COUNT; i++) {
        is_sorted &= i == 0 || numbers[i - 1] <= numbers[i];
        hash = hash * 31 + (unsigned)numbers[i];
    }
    printf("sorted %d, from %d to %d, hash %#lx\n", is_sorted, numbers[0], numbers[COUNT - 1], hash);
    int *found = bsearch(&numbers[777], numbers, COUNT, sizeof *numbers, ascending);
    show("found", found && *found == numbers[777]);
    int absent = -5;
    show("not found", bsearch(&absent, numbers, COUNT, sizeof *numbers, ascending) == NULL);
    void *root = NULL;
    for (int i = 0; i < 400; i++)
        tsearch(&numbers[(i * 7919) % COUNT], &root, ascending);
    twalk(root, visit);
    printf("\n%d nodes\n", visits);
    hcreate(1000);
    static char names[500][10];
    for (int i = 0; i < 500; i++) {
        snprintf(names[i], sizeof names[i], "name%d", i);
        hsearch((ENTRY){names[i], (void *)(intptr_t)i}, ENTER);
    }
    ENTRY *entry = hsearch((ENTRY){"name321", NULL}, FIND);
    show("hash table", entry ? (long)(intptr_t)entry->data : -1);
    srand(7);
    int draws[3] = {rand(), rand(), rand()};
    printf("the library's numbers: %d %d %d, %ld\n", draws[0], draws[1], draws[2], lrand48());
    return 0;
}
