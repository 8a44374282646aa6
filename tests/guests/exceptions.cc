// Exceptions: thrown over many frames, caught by base and by value, rethrown, with destructors on the way.
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

struct Noisy {
    const char *name;
    explicit Noisy(const char *name) : name(name) { std::cout << "made " << name << '\n'; }
    ~Noisy() { std::cout << "gone " << name << '\n'; }
};

struct Animal {
    virtual ~Animal() = default;
    virtual std::string says() const { return "nothing"; }
};
struct Cat : Animal {
    std::string says() const override { return "meow"; }
};
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

static int dive(int depth) {
    if (depth == 50)
        throw Failure("from the depth");
    Noisy *none = nullptr;
    struct Guard {
        int depth;
        ~Guard() {
            if (depth % 10 == 0)
                std::cout << "left " << depth << '\n';
        }
    } guard{depth};
    return dive(depth + 1) + (none != nullptr);
}

int main(int argc, char **argv) {
    std::string way = argc > 1 ? argv[1] : "";
    try {
        dive(0);
    } catch (const std::exception &error) {
        std::cout << "caught " << error.what() << ", a failure: " << (dynamic_cast<const Failure *>(&error) != nullptr) << '\n';
    }
    try {
        Noisy outer("outer");
        try {
            Noisy inner("inner");
            throw 42;
        } catch (...) {
            std::cout << "passing on\n";
            throw;
        }
    } catch (int number) {
        std::cout << "caught " << number << '\n';
    }
    try {
        std::vector<int>().at(5);
    } catch (const std::out_of_range &) {
        std::cout << "out of range\n";
    }
    try {
        std::vector<char> all(static_cast<std::size_t>(1) << 62);
    } catch (const std::bad_alloc &) {
        std::cout << "no memory\n";
    } catch (const std::length_error &) {
        std::cout << "too long\n";
    }
    Cat cat;
    const Animal &animal = cat;
    std::cout << animal.says() << ' ' << (typeid(animal) == typeid(Cat)) << ' ' << (dynamic_cast<const Cat *>(&animal) != nullptr) << '\n';
    try {
        std::cout << std::stoi("not a number");
    } catch (const std::invalid_argument &error) {
        std::cout << error.what() << '\n';
    }
    int caught = 0;
    for (int i = 0; i < 1000; i++) {
        try {
            throw i;
        } catch (int number) {
            caught += number == i;
        }
    }
    std::cout << caught << " of a thousand" << std::endl;
    if (way == "uncaught")
        throw Failure("nobody catches this");
    if (way == "terminate")
        std::terminate();
    return 0;
}
