// What a program says that meets an older library: whatever it calls first.
#include <iostream>

#include <libfixture.hpp>

int main() {
    int refused = 0;
    try {
        fixture::echo_i32(1);
    } catch (const fixture::Error &error) {
        refused += error.code() == fixture::ErrorCode::internal;
    }
    try {
        fixture::Store("a");
    } catch (const fixture::Error &error) {
        ++refused;
        std::cout << error.what() << "\n";
    }
    return refused == 2 ? 0 : 1;
}
