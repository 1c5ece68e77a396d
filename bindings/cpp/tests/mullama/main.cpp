// The header over libmullama itself: what is idiomatic in C++, on the tiny models and the real one.
#include "../check.hpp"

#include <libmullama.hpp>

int main(int argc, char **argv) { return run_tests(argc, argv, mullama::live_objects); }
