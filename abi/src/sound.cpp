// Decodes with miniaudio, as llama.cpp's mtmd-helper does, but block by block: that one takes the length that a file claims
// for its memory, and a short file can claim any.
#include "sound.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "failure.h"
#include "libmullama.h"

#define MINIAUDIO_IMPLEMENTATION
#define MA_NO_ENCODING
#define MA_NO_DEVICE_IO
#define MA_NO_RESOURCE_MANAGER
#define MA_NO_NODE_GRAPH
#define MA_NO_ENGINE
#define MA_NO_GENERATION
#define MA_API static
#define ma_atomic_global_lock mullama_atomic_global_lock  // the one name that MA_API does not hide: llama.cpp's copy has it too
#include "miniaudio/miniaudio.h"

namespace mullama {

namespace {

constexpr size_t block = 1 << 16;
// What stands for full volume is 1. Beyond this a power spectrum overflows, and NaN would reach the cache of other streams.
constexpr float loudest = 32768.0f;

struct decoder_closer {
    void operator()(ma_decoder *decoder) const { ma_decoder_uninit(decoder); }
};

bool has(const std::vector<unsigned char> &file, size_t at, const char *text) { return at + std::strlen(text) <= file.size() && std::memcmp(file.data() + at, text, std::strlen(text)) == 0; }

// By its first bytes, as llama.cpp tells them. Left to itself miniaudio looks for an MP3 in anything.
ma_encoding_format encoding_of(const std::vector<unsigned char> &file) {
    if (has(file, 0, "RIFF") && has(file, 8, "WAVE")) return ma_encoding_format_wav;
    if (has(file, 0, "fLaC")) return ma_encoding_format_flac;
    const bool has_frame = file.size() > 2 && file[0] == 0xFF && (file[1] & 0xE0) == 0xE0;
    return has_frame || has(file, 0, "ID3") ? ma_encoding_format_mp3 : ma_encoding_format_unknown;
}

// Bytes that a WAV says its samples have, beyond those that are there; miniaudio takes what there is.
size_t missing_bytes(const std::vector<unsigned char> &file) {
    constexpr size_t unknown = 0x7FFF0000;  // a program that writes into a pipe does not know the length, and claims the largest
    if (!has(file, 0, "RIFF") || !has(file, 8, "WAVE")) return 0;
    for (size_t at = 12; at + 8 <= file.size();) {
        const size_t size = file[at + 4] | file[at + 5] << 8 | file[at + 6] << 16 | static_cast<size_t>(file[at + 7]) << 24;
        const size_t there = file.size() - at - 8;
        if (has(file, at, "data")) return size > there && size < unknown ? size - there : 0;
        if (size > there) return 0;
        at += 8 + size + size % 2;
    }
    return 0;
}

}  // namespace

std::vector<float> decoded_sound(const std::vector<unsigned char> &file, int rate, size_t most, const std::string &name) {
    const auto refuse = [&](const std::string &reason) { throw failure(MULLAMA_E_MEDIA_INVALID, name + " " + reason); };
    ma_decoder_config config = ma_decoder_config_init(ma_format_f32, 1, static_cast<ma_uint32>(rate));
    config.encodingFormat = encoding_of(file);
    ma_decoder opened;
    if (config.encodingFormat == ma_encoding_format_unknown || ma_decoder_init_memory(file.data(), file.size(), &config, &opened) != MA_SUCCESS) {
        refuse("(" + std::to_string(file.size()) + " bytes) is no sound that can be decoded; WAV, MP3 and FLAC are taken");
    }
    const std::unique_ptr<ma_decoder, decoder_closer> decoder(&opened);
    if (const size_t missing = missing_bytes(file)) refuse("(" + std::to_string(file.size()) + " bytes) is cut off: " + std::to_string(missing) + " bytes of its samples are missing");
    ma_uint64 claimed = 0;
    if (has(file, 0, "fLaC") && ma_decoder_get_length_in_pcm_frames(decoder.get(), &claimed) != MA_SUCCESS) claimed = 0;
    std::vector<float> samples;
    for (;;) {
        const size_t at = samples.size();
        samples.resize(at + block);
        ma_uint64 n_read = 0;
        const ma_result result = ma_decoder_read_pcm_frames(decoder.get(), samples.data() + at, block, &n_read);
        samples.resize(at + static_cast<size_t>(n_read));
        if (result != MA_SUCCESS && result != MA_AT_END) refuse(std::string("cannot be decoded: ") + ma_result_description(result));
        if (samples.size() > most) {
            refuse("is longer than " + std::to_string(most) + " samples of " + std::to_string(rate) + " a second, which is the most that is taken; send it in parts");
        }
        if (result == MA_AT_END || n_read == 0) break;
    }
    if (samples.empty()) refuse("holds no sound");
    if (claimed > samples.size() + static_cast<size_t>(rate) / 100) {
        refuse("is cut off: it says that it has " + std::to_string(claimed) + " samples of " + std::to_string(rate) + " a second, and has " + std::to_string(samples.size()));
    }
    for (size_t i = 0; i < samples.size(); ++i) {
        if (!(std::fabs(samples[i]) <= loudest)) refuse("has " + std::to_string(samples[i]) + " as sample " + std::to_string(i) + "; samples are from -1 to 1");
    }
    return samples;
}

}  // namespace mullama
