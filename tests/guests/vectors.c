// Vector instructions give the same numbers as plain code, in every width that the processor has.
#include "story.h"
#include <immintrin.h>

enum { COUNT = 1024 };
static float left[COUNT], right[COUNT], plain[COUNT], vector[COUNT];

static void reference(void) {
    for (volatile int i = 0; i < COUNT; i++)
        plain[i] = left[i] * right[i] + left[i];
}

__attribute__((target("sse2"))) static void with_sse(void) {
    for (int i = 0; i < COUNT; i += 4) {
        __m128 a = _mm_loadu_ps(left + i);
        _mm_storeu_ps(vector + i, _mm_add_ps(_mm_mul_ps(a, _mm_loadu_ps(right + i)), a));
    }
}

__attribute__((target("avx"))) static void with_avx(void) {
    for (int i = 0; i < COUNT; i += 8) {
        __m256 a = _mm256_loadu_ps(left + i);
        _mm256_storeu_ps(vector + i, _mm256_add_ps(_mm256_mul_ps(a, _mm256_loadu_ps(right + i)), a));
    }
}

__attribute__((target("avx512f"))) static void with_avx512(void) {
    for (int i = 0; i < COUNT; i += 16) {
        __m512 a = _mm512_loadu_ps(left + i);
        _mm512_storeu_ps(vector + i, _mm512_add_ps(_mm512_mul_ps(a, _mm512_loadu_ps(right + i)), a));
    }
}

__attribute__((target("avx2"))) static long integers(void) {
    __m256i sum = _mm256_setzero_si256();
    for (int i = 0; i < 1000; i++)
        sum = _mm256_add_epi64(sum, _mm256_set_epi64x(i, 2 * i, 3 * i, i * i));
    long parts[4];
    _mm256_storeu_si256((__m256i *)parts, sum);
    return parts[0] + parts[1] + parts[2] + parts[3];
}

static void verify(const char *what, int is_there, void (*run)(void)) {
    memset(vector, 0, sizeof vector);
    if (is_there)
        run();
    check(what, !is_there || memcmp(plain, vector, sizeof plain) == 0);
}

int main(void) {
    for (int i = 0; i < COUNT; i++) {
        left[i] = (float)i * 0.37f - 100;
        right[i] = 1000.0f / (float)(i + 3);
    }
    reference();
    __builtin_cpu_init();
    check("a processor of 64 bits has sse2", __builtin_cpu_supports("sse2"));
    verify("sse", 1, with_sse);
    verify("avx", __builtin_cpu_supports("avx"), with_avx);
    verify("avx512", __builtin_cpu_supports("avx512f"), with_avx512);
    check("integers", !__builtin_cpu_supports("avx2") || integers() == 499500 * 6 + 332833500);
    unsigned long hash = 0;
    for (int i = 0; i < COUNT; i++) {
        uint32_t bits;
        memcpy(&bits, plain + i, 4);
        hash = hash * 31 + bits;
    }
    printf("hash %#lx\n", hash);
    return 0;
}
