// A library that plugins.cc loads.
// link: dynamic
// flags: -shared -fPIC

#include <stdexcept>
#include <string>

static const std::string name = std::string("a plugin, ") + "constructed";
static thread_local int count;

extern "C" const char *plugin_name() { return name.c_str(); }
extern "C" int plugin_counts() { return ++count; }
extern "C" void plugin_fails(int number) { throw std::out_of_range("number " + std::to_string(number)); }
