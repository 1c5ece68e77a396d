// Sound files into samples.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mullama {

// One channel of `rate` samples a second, from WAV, MP3 or FLAC. Throws MEDIA_INVALID, also for more than `most` samples:
// what a file says of its length is not believed. `name` is the field that holds it.
std::vector<float> decoded_sound(const std::vector<unsigned char> &file, int rate, size_t most, const std::string &name);

}  // namespace mullama
