// Files by their paths in UTF-8, with errors that name the path and the reason.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mullama {

// Throws FILE_NOT_FOUND or FILE_UNREADABLE for anything but a regular file: reading a pipe or a device may never end.
void require_regular_file(const std::string &path);

std::vector<uint8_t> read_file(const std::string &path);

// Replaces the file at once when everything is written; a failure (FILE_UNWRITABLE) leaves an old one as it was.
void write_file(const std::string &path, const std::vector<uint8_t> &bytes);

}  // namespace mullama
