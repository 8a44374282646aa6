// A dense product of square matrices of doubles: c += a * b, with the widest vectors that the processor has.
//
//   matrix THREADS SIZE
//
// Each thread owns a range of c's rows and multiplies again and again until the time is over, so threads
// wait for nobody. A panel of b is copied to where it is contiguous; then 4 rows by 2 vectors of c stay in
// registers while a column of a and a row of the panel pass:
//
//            panel (DEPTH x 2 vectors)
//             ┌───┐
//             │ b │
//   a 4 rows  └───┘
//   ┌───────┐ ┌───┐
//   │   a   │ │ c │  in registers
//   └───────┘ └───┘
//
// All elements are small whole numbers and every product adds the same matrix, so what must come out is known
// exactly, and is compared: a register that a kernel lost would show.
#include "measure.h"

#include <pthread.h>
#include <stdatomic.h>

enum { DEPTH = 256, ROWS = 4, MOST_THREADS = 16 };

static const int64_t DURATION_NS = 400 * 1000 * 1000;

struct job {
    size_t first, last, size, products;
    const double *a, *b;
    double *c;
};

typedef void multiply(const struct job *job);

// The same source for each width, compiled for a processor that has it.
#define DEFINE_MULTIPLY(NAME, WIDTH, TARGET)                                                               \
    TARGET static void NAME(const struct job *job)                                                         \
    {                                                                                                      \
        typedef double vector __attribute__((vector_size(WIDTH * 8), aligned(8)));                         \
        double panel[DEPTH * WIDTH * 2] __attribute__((aligned(64)));                                      \
        size_t n = job->size;                                                                              \
        for (size_t k0 = 0; k0 < n; k0 += DEPTH)                                                           \
            for (size_t j = 0; j < n; j += WIDTH * 2) {                                                    \
                for (size_t k = 0; k < DEPTH; k++)                                                         \
                    memcpy(panel + k * WIDTH * 2, job->b + (k0 + k) * n + j, WIDTH * 16);                  \
                for (size_t i = job->first; i < job->last; i += ROWS) {                                    \
                    vector sum[ROWS][2];                                                                   \
                    for (size_t r = 0; r < ROWS; r++) {                                                    \
                        const vector *c = (const vector *)(job->c + (i + r) * n + j);                      \
                        sum[r][0] = c[0];                                                                  \
                        sum[r][1] = c[1];                                                                  \
                    }                                                                                      \
                    const double *a = job->a + i * n + k0;                                                 \
                    for (size_t k = 0; k < DEPTH; k++) {                                                   \
                        const vector *b = (const vector *)(panel + k * WIDTH * 2);                         \
                        for (size_t r = 0; r < ROWS; r++) {                                                \
                            sum[r][0] += a[r * n + k] * b[0];                                              \
                            sum[r][1] += a[r * n + k] * b[1];                                              \
                        }                                                                                  \
                    }                                                                                      \
                    for (size_t r = 0; r < ROWS; r++) {                                                    \
                        vector *c = (vector *)(job->c + (i + r) * n + j);                                  \
                        c[0] = sum[r][0];                                                                  \
                        c[1] = sum[r][1];                                                                  \
                    }                                                                                      \
                }                                                                                          \
            }                                                                                              \
    }

DEFINE_MULTIPLY(multiply_512, 8, __attribute__((target("avx512f,fma"))))
DEFINE_MULTIPLY(multiply_256, 4, __attribute__((target("avx2,fma"))))
DEFINE_MULTIPLY(multiply_128, 2, )

static multiply *chosen;
static _Atomic int64_t end_ns;

static void *work(void *argument)
{
    struct job *job = argument;
    do {
        chosen(job);
        job->products++;
    } while (now_ns() < atomic_load(&end_ns));
    return NULL;
}

static double element_a(size_t row, size_t column)
{
    return (double)((row + 2 * column) % 5);
}

static double element_b(size_t row, size_t column)
{
    return (double)((3 * row + column) % 7);
}

static int is_right(const struct job *job)
{
    for (size_t sample = 0; sample < 64; sample++) {
        size_t i = job->first + sample * 37 % (job->last - job->first), j = sample * 101 % job->size;
        double sum = 0;
        for (size_t k = 0; k < job->size; k++)
            sum += element_a(i, k) * element_b(k, j);
        if (job->c[i * job->size + j] != sum * (double)job->products)
            return 0;
    }
    return 1;
}

int main(int count, char **words)
{
    size_t threads = count > 2 ? strtoul(words[1], NULL, 10) : 0;
    size_t size = count > 2 ? strtoul(words[2], NULL, 10) : 0;
    if (threads == 0 || threads > MOST_THREADS || size == 0 || size % DEPTH != 0) {
        fprintf(stderr, "usage: matrix THREADS SIZE (a multiple of %d)\n", DEPTH);
        return 2;
    }
    int width = 128;
    chosen = multiply_128;
    if (__builtin_cpu_supports("avx512f")) {
        width = 512;
        chosen = multiply_512;
    } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        width = 256;
        chosen = multiply_256;
    }
    double *memory = aligned_alloc(64, 3 * size * size * sizeof(double));
    if (memory == NULL) {
        report_errno("matrix_gflops", "aligned_alloc");
        return 0;
    }
    double *a = memory, *b = a + size * size, *c = b + size * size;
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j < size; j++) {
            a[i * size + j] = element_a(i, j);
            b[i * size + j] = element_b(i, j);
            c[i * size + j] = 0;
        }
    struct job jobs[MOST_THREADS];
    pthread_t others[MOST_THREADS];
    int64_t start = now_ns();
    atomic_store(&end_ns, start + DURATION_NS);
    size_t products = 0, rows = size / threads / ROWS * ROWS;
    for (size_t t = threads; t-- > 0;) {
        size_t last = t == threads - 1 ? size : (t + 1) * rows;
        jobs[t] = (struct job) { t * rows, last, size, 0, a, b, c };
        int error = t == 0 ? 0 : pthread_create(&others[t], NULL, work, &jobs[t]);
        if (error != 0) {
            report_error("matrix_gflops", strerror(error));
            return 0;
        }
    }
    work(&jobs[0]);
    for (size_t t = 1; t < threads; t++)
        pthread_join(others[t], NULL);
    double elapsed = (double)(now_ns() - start);
    for (size_t t = 0; t < threads; t++) {
        products += jobs[t].products * (jobs[t].last - jobs[t].first);
        if (!is_right(&jobs[t])) {
            report_error("matrix_gflops", "a product was wrong");
            return 1;
        }
    }
    report("matrix_gflops", 2.0 * (double)products * (double)size * (double)size / elapsed);
    report("matrix_vector_bits", width);
    return 0;
}
