// A library loaded while the program runs: found, called, closed; and one that is not there.
// link: dynamic
#include "story.h"
#include <dlfcn.h>
#include <link.h>

static int count;
static int visit(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size, (void)data;
    count += info->dlpi_phnum > 0;
    return 0;
}

int main(void) {
    void *library = dlopen("libm.so.6", RTLD_NOW);
    if (library == NULL) {
        puts(dlerror());
        return 1;
    }
    double (*cosine)(double) = (double (*)(double))dlsym(library, "cos");
    printf("cos 0 = %g, cos 1 = %.9f\n", cosine(0), cosine(1));
    check("no such symbol", dlsym(library, "no_such_symbol") == NULL);
    puts(dlerror());
    check("no such library", dlopen("libabsent.so.9", RTLD_NOW) == NULL);
    puts(dlerror());
    Dl_info info;
    check("an address belongs to it", dladdr((void *)(uintptr_t)cosine, &info) != 0 && strstr(info.dli_fname, "libm") != NULL);
    dl_iterate_phdr(visit, NULL);
    check("the program, the library, the loader and libm", count >= 4);
    show("close", dlclose(library));
    void *self = dlopen(NULL, RTLD_LAZY);
    check("the program itself", self != NULL && dlsym(self, "printf") != NULL);
    check("lookups through the vdso", dlopen("linux-vdso.so.1", RTLD_NOLOAD | RTLD_NOW) != NULL || dlerror() != NULL);
    return 0;
}
