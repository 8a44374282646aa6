// A program loads a library at run time: symbols, exceptions across it, thread-local data, unloading.
// link: dynamic
// flags: -pthread -ldl

#include <dlfcn.h>
#include <future>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <vector>

int main() {
    void *library = dlopen("./plugin", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        std::cout << "FAIL " << dlerror() << '\n';
        return 1;
    }
    auto named = reinterpret_cast<const char *(*)()>(dlsym(library, "plugin_name"));
    auto fails = reinterpret_cast<void (*)(int)>(dlsym(library, "plugin_fails"));
    auto counts = reinterpret_cast<int (*)()>(dlsym(library, "plugin_counts"));
    std::cout << named() << '\n';
    try {
        fails(7);
    } catch (const std::out_of_range &error) {
        std::cout << "caught " << error.what() << '\n';
    }
    std::vector<std::future<int>> futures;
    for (int i = 0; i < 6; i++)
        futures.push_back(std::async(std::launch::async, [&, i] {
            if (i == 4)
                fails(i);
            return counts() + counts();
        }));
    std::ostringstream line;
    for (auto &future : futures) {
        try {
            line << future.get() << ' ';
        } catch (const std::exception &error) {
            line << error.what() << ' ';
        }
    }
    std::cout << line.str() << counts() << '\n';
    std::cout << (dlsym(library, "absent") ? "FAIL" : "ok") << " an absent symbol\n";
    std::cout << (dlclose(library) == 0 ? "ok" : "FAIL") << " closed\n";
    std::cout << (dlopen("./absent", RTLD_NOW) ? "FAIL" : "ok") << " an absent library\n";
}
