// OpenMP: loops, reductions, tasks, critical sections, nested teams, thread-private data.
// link: dynamic
// flags: -fopenmp -O2

#include <cstdio>
#include <omp.h>
#include <vector>

static int mine;
#pragma omp threadprivate(mine)

static long fibonacci(int n) {
    if (n < 2)
        return n;
    long a, b;
#pragma omp task shared(a) if (n > 12)
    a = fibonacci(n - 1);
#pragma omp task shared(b) if (n > 12)
    b = fibonacci(n - 2);
#pragma omp taskwait
    return a + b;
}

int main() {
    long sum = 0;
#pragma omp parallel for reduction(+ : sum) schedule(dynamic, 64) num_threads(4)
    for (int i = 0; i < 100000; i++)
        sum += i % 7;
    std::printf("sum %ld\n", sum);

    std::vector<int> seen(4);
#pragma omp parallel num_threads(4)
    {
        mine = omp_get_thread_num();
        seen[mine] = omp_get_num_threads();
#pragma omp barrier
#pragma omp critical
        seen[0] += mine;
    }
    std::printf("team %d %d %d %d\n", seen[0], seen[1], seen[2], seen[3]);

    long result = 0;
#pragma omp parallel num_threads(3)
#pragma omp single
    result = fibonacci(20);
    std::printf("tasks %ld\n", result);

    int inner = 0;
    omp_set_max_active_levels(2);
#pragma omp parallel num_threads(2)
#pragma omp parallel num_threads(2)
#pragma omp atomic
    inner++;
    std::printf("nested %d\n", inner);

    // Many short regions: the team sleeps and wakes.
    int rounds = 0;
    for (int i = 0; i < 200; i++)
#pragma omp parallel num_threads(2) reduction(+ : rounds)
        rounds++;
    std::printf("rounds %d\n", rounds);
}
