// A library: subtracts from each column its mean, in place, in several threads; an exception stays inside.
// link: dynamic
// flags: -shared -fPIC -pthread

#include <cstddef>
#include <stdexcept>
#include <thread>
#include <vector>

static void centre_column(double *values, std::size_t rows, std::size_t columns, std::size_t column) {
    if (rows == 0)
        throw std::invalid_argument("no rows");
    double sum = 0;
    for (std::size_t row = 0; row < rows; row++)
        sum += values[row * columns + column];
    for (std::size_t row = 0; row < rows; row++)
        values[row * columns + column] -= sum / static_cast<double>(rows);
}

extern "C" int centre(double *values, std::size_t rows, std::size_t columns) {
    try {
        if (rows == 0)
            centre_column(values, rows, columns, 0);
        std::vector<std::thread> threads;
        for (std::size_t column = 0; column < columns; column++)
            threads.emplace_back(centre_column, values, rows, columns, column);
        for (auto &thread : threads)
            thread.join();
        return 0;
    } catch (const std::invalid_argument &) {
        return -1;
    }
}
