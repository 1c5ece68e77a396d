// A local time for each thread. llama.cpp tells chat templates the date by std::localtime, which has one result for all threads, and
// requests write their templates on any number of them.
//
// Linked with --wrap (abi/CMakeLists.txt).
#include <ctime>

extern "C" std::tm *__wrap_localtime(const std::time_t *time) {
    thread_local std::tm result;
    return localtime_r(time, &result);
}
