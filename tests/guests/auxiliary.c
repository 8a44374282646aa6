// The auxiliary vector: what the kernel tells a program about itself.
#include "story.h"
#include <elf.h>
#include <sys/auxv.h>

int main(void) {
    show("page size", (long)getauxval(AT_PAGESZ));
    show("clock ticks", (long)getauxval(AT_CLKTCK));
    printf("executable %s\n", (const char *)getauxval(AT_EXECFN));
    printf("platform %s\n", (const char *)getauxval(AT_PLATFORM));
    show("program header size", (long)getauxval(AT_PHENT));
    check("program headers", getauxval(AT_PHNUM) > 3 && getauxval(AT_PHDR) != 0);
    check("entry", getauxval(AT_ENTRY) != 0);
    show("secure", (long)getauxval(AT_SECURE));
    check("user", getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
    check("group", getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
    int bits = 0;
    for (int i = 0; random && i < 16; i++)
        bits |= random[i];
    check("sixteen random bytes", random != NULL && bits != 0);
    const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
    int loads = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        loads += header[i].p_type == PT_LOAD;
    check("the headers can be read", loads >= 2);
    return 0;
}
