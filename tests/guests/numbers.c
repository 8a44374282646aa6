// Numbers as text and back: floating point in every format, and the edges of the integers.
// flags: -lm
#include "story.h"
#include <fenv.h>
#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>

int main(void) {
    double values[] = {0.0, -0.0, 1.0, 0.1, 1.0 / 3, 2.5, 1e21, 1e-7, 123456789.123456789, DBL_MAX, DBL_MIN, 5e-324, INFINITY, NAN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        printf("%g %f %e %a %.3g %010.2f %+.0f\n", values[i], values[i], values[i], values[i], values[i], values[i], values[i]);
    const char *texts[] = {"3.14159", "1e400", "-1e-400", "0x1.8p3", "inf", "nan", "12abc", "", "  7", "1e", ".5"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *end;
        errno = 0;
        double value = strtod(texts[i], &end);
        printf("[%s] = %.17g, rest [%s], %s\n", texts[i], value, end, strerrorname_np(errno));
    }
    const char *integers[] = {"9223372036854775807", "9223372036854775808", "-9223372036854775809", "0x7f", "077", "0b1", "z"};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        char *end;
        unsigned long large = strtoul(integers[i], NULL, 36);
        errno = 0;
        long value = strtol(integers[i], &end, 0);
        printf("[%s] = %ld, rest [%s], %s; base 36 %lu\n", integers[i], value, end, strerrorname_np(errno), large);
    }
    printf("%d %u %x %o %c %5s|%-5s|%.2s %% %p\n", INT32_MIN, UINT32_MAX, 255u, 8u, 'c', "ab", "ab", "abc", (void *)0x10);
    printf("%" PRId64 " %" PRIu64 " %hhd %hd %zu %*d %-*d|\n", INT64_MIN, UINT64_MAX, (signed char)300, (short)70000,
           (size_t)-1, 6, 42, 6, 42);
    long double wide = 1.0L / 3;
    printf("%.21Lg %La\n", wide, wide);
    volatile double one = 1, three = 3, huge = DBL_MAX;
    feclearexcept(FE_ALL_EXCEPT);
    volatile double third = one / three;
    printf("inexact %d", !!fetestexcept(FE_INEXACT));
    volatile double over = huge * huge;
    printf(" overflow %d", !!fetestexcept(FE_OVERFLOW));
    volatile double zero = 0, infinite = one / zero;
    printf(" division %d\n", !!fetestexcept(FE_DIVBYZERO));
    (void)third, (void)over, (void)infinite;
    int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (int i = 0; i < 4; i++) {
        fesetround(modes[i]);
        printf("rounding %d: %a %g\n", i, one / three, nearbyint(2.5 * one));
    }
    fesetround(FE_TONEAREST);
    printf("sqrt %a, fma %a, floor %g, fmod %g, ldexp %g\n", sqrt(2 * one), fma(one, three, 0.1), floor(-2.5 * one),
           fmod(10 * one, three), ldexp(one, -1070));
    // The last bit of these depends on the processor's instructions.
    printf("sin %.12f exp %.12f pow %.10f log %.12f atan2 %.12f\n", sin(one), exp(one), pow(2 * one, 0.5), log(three), atan2(one, three));
    printf("locale %s, decimal point %s\n", setlocale(LC_ALL, ""), localeconv()->decimal_point);
    return 0;
}
