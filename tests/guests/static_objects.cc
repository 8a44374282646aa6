// Objects that live as long as the program: made before main in order, destroyed after it in reverse.
#include <cstdio>
#include <cstdlib>
#include <string>

struct Object {
    std::string name;
    explicit Object(const char *name) : name(name) { std::printf("made %s\n", name); }
    ~Object() { std::printf("destroyed %s\n", name.c_str()); }
};

static Object first("first");
static Object second("second");
thread_local Object of_thread("of the thread");

static Object &lazy() {
    static Object object("lazy");
    return object;
}

__attribute__((constructor(200))) static void early() { std::puts("an early constructor"); }

int main(int argc, char **) {
    std::puts("main");
    std::printf("%s %s\n", lazy().name.c_str(), of_thread.name.c_str());
    lazy();
    Object local("local");
    std::atexit([] { std::puts("registered in main"); });
    if (argc > 1)
        std::exit(3);
    return 0;
}
