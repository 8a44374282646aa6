// Text: bytes, UTF-8 and wide characters, searching, splitting, patterns.
// link: dynamic
#include "story.h"
#include <ctype.h>
#include <fnmatch.h>
#include <locale.h>
#include <regex.h>
#include <wchar.h>
#include <wctype.h>

int main(void) {
    printf("locale %s\n", setlocale(LC_ALL, "C.UTF-8"));
    const char *text = "Größe: 3 µm, naïve, 日本語, 🦀";
    wchar_t wide[100];
    size_t count = mbstowcs(wide, text, 100);
    printf("%zu bytes, %zu characters, %d columns\n", strlen(text), count, wcswidth(wide, count));
    for (size_t i = 0; i < count; i++)
        wide[i] = (wchar_t)towupper((wint_t)wide[i]);
    char back[200];
    wcstombs(back, wide, sizeof back);
    puts(back);
    printf("%ls|%lc|%.3ls|\n", L"wide ünïcode", (wint_t)0x20ac, L"日本語日本語");
    fflush(stdout);
    mbstate_t state = {0};
    wchar_t one;
    printf("half a character %zd, a wrong one %zd\n", (ssize_t)mbrtowc(&one, "\xe6\x97", 2, &state),
           (ssize_t)mbrtowc(&one, "\xff", 1, &(mbstate_t){0}));
    unsigned classes = 0;
    for (int c = 0; c < 256; c++)
        classes = classes * 3 + (isalpha(c) ? 1u : 0u) + (isspace(c) ? 2u : 0u) + (isprint(c) ? 4u : 0u);
    printf("classes %#x\n", classes);

    char list[] = "one,two,,three;four";
    for (char *save, *word = strtok_r(list, ",;", &save); word; word = strtok_r(NULL, ",;", &save))
        printf("[%s]", word);
    putchar('\n');
    printf("%s %s %d %zu %zu\n", strstr("a needle in hay", "needle"), strrchr("/a/b/c", '/'), strcasecmp("HeLLo", "hEllO"),
           strspn("aabbc", "ab"), strcspn("hello world", " "));
    char large[3000];
    memset(large, 'x', sizeof large);
    large[2998] = 'y';
    large[2999] = 0;
    for (int shift = 0; shift < 64; shift += 7)
        printf("%zu %ld ", strlen(large + shift), (long)((char *)memchr(large + shift, 'y', 3000) - large));
    memmove(large + 3, large, 2000);
    printf("%zu %d\n", strlen(large), memcmp(large, large + 100, 50));
    printf("patterns %d %d %d\n", fnmatch("*.[ch]", "story.h", 0), fnmatch("a?c", "abbc", 0), fnmatch("*/x", "a/b/x", FNM_PATHNAME));
    regex_t expression;
    regcomp(&expression, "([a-z]+)@([a-z.]+)", REG_EXTENDED);
    regmatch_t match[3];
    const char *mail = "write to someone@example.org today";
    if (regexec(&expression, mail, 3, match, 0) == 0)
        printf("%.*s at %.*s\n", (int)(match[1].rm_eo - match[1].rm_so), mail + match[1].rm_so,
               (int)(match[2].rm_eo - match[2].rm_so), mail + match[2].rm_so);
    regfree(&expression);
    char *formatted = NULL;
    printf("%d\n", asprintf(&formatted, "%s-%0*d", "made", 8, 1234));
    puts(formatted);
    printf("%s; %s; %s\n", strerror(2), strsignal(11), strerrorname_np(EXDEV));
    return 0;
}
