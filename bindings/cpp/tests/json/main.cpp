// The JSON values of libmullama_json.hpp. They need nothing of the library, so these tests run under sanitizers as well.
#include "../check.hpp"

#include <libmullama_json.hpp>

// All that the header asks of the library, for the message of a test that fails.
const char *mullama_error_name(std::int32_t) { return nullptr; }

int main(int argc, char **argv) {
    return run_tests(argc, argv, [] { return 0; });
}
