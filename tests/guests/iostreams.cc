// C++ streams, strings and containers.
#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

int main() {
    std::map<std::string, int> words;
    std::string word;
    while (std::cin >> word)
        words[word]++;
    for (const auto &[name, count] : words)
        std::cout << std::setw(10) << std::left << name << count << '\n';
    std::vector<int> numbers(1000);
    std::iota(numbers.begin(), numbers.end(), -500);
    std::sort(numbers.begin(), numbers.end(), [](int a, int b) { return std::abs(a) < std::abs(b) || (std::abs(a) == std::abs(b) && a < b); });
    std::cout << numbers[0] << ' ' << numbers[1] << ' ' << numbers[999] << ' '
              << std::accumulate(numbers.begin(), numbers.end(), 0L) << std::endl;
    std::cout << std::hex << 255 << std::dec << ' ' << std::fixed << std::setprecision(4) << 3.14159265 << ' '
              << std::scientific << 12345.678 << ' ' << std::boolalpha << true << '\n';
    std::ostringstream text;
    text << "made of " << 3 << " parts and " << 2.5;
    std::istringstream back(text.str());
    std::string made, of;
    int three;
    back >> made >> of >> three;
    std::cout << text.str() << " / " << made << of << three << '\n';
    std::unordered_map<int, std::string> table;
    for (int i = 0; i < 1000; i++)
        table[i * 7919 % 1009] = std::to_string(i);
    std::cout << table.size() << ' ' << table[500] << '\n';
    std::variant<int, std::string> either = "text";
    std::optional<int> nothing;
    auto shared = std::make_shared<std::set<int>>(std::initializer_list<int>{3, 1, 2});
    std::cout << std::get<std::string>(either) << ' ' << nothing.value_or(-1) << ' ' << *shared->begin() << ' ' << shared.use_count() << '\n';
    std::ifstream absent("no such file");
    std::cout << "absent file: " << absent.is_open() << ' ' << absent.fail() << '\n';
    std::ifstream self("/proc/self/exe", std::ios::binary);
    char magic[4] = {};
    self.read(magic, 4);
    std::cout << "the program starts with " << std::string(magic + 1, 3) << '\n';
    std::cerr << "to the error stream\n";
    std::clog << "and to the log\n";
    return 0;
}
