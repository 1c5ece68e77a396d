// Finds the library's functions at run time, once per process, after a look at its version.
#pragma once

#include <string>

namespace binding {

// Loads the library at a path, or of a name that the system looks up; a second call changes nothing.
// Returns "" or the sentence that says why not.
std::string load_library(const std::string &path);
// Where the loaded library lies; "" before it is loaded.
std::string library_path();

}  // namespace binding
