#include "media.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "engine_fields.h"
#include "failure.h"
#include "hash/hash.h"
#include "request_checks.h"
#include "sound.h"
#include "stb/stb_image.h"
#include "text.h"

namespace mullama {

namespace {

// Decoded; of one image or sound, and of all in a request. A file of a few kB can hold gigabytes.
constexpr size_t most_bytes_each = size_t(1) << 28;
constexpr size_t most_bytes = size_t(1) << 30;

// What llama.cpp decodes in place of a file that has been taken out, in order to put its mark there.
constexpr const char *taken_out = "AAAA";

std::string start_of(const std::string &text) {
    return "\"" + (text.size() <= 40 ? text : mended_utf8(text.substr(0, 40)) + "...") + "\"";
}

bool begins_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

// The base64 of data:image/png;base64,iVBO...
std::string_view data_of_url(const std::string &url, const std::string &name) {
    const std::string_view text = url;
    if (begins_with(text, "http:") || begins_with(text, "https:")) {
        refuse_field(name, "is the address " + start_of(url) + ", and nothing is fetched here; fetch it and send its bytes as data:image/png;base64,...");
    }
    if (begins_with(text, "file:") || begins_with(text, "/") || begins_with(text, "./") || begins_with(text, "../")) {
        refuse_field(name, "is the file " + start_of(url) + ", and no files are read for a request; read it and send its bytes as data:image/png;base64,...");
    }
    if (!begins_with(text, "data:")) refuse_field(name, "is " + start_of(url) + "; it must be a data: URL such as data:image/png;base64,...");
    const size_t comma = text.find(',');
    const std::string_view label = text.substr(5, comma == std::string_view::npos ? 0 : comma - 5);
    constexpr std::string_view suffix = ";base64";
    const bool is_base64 = label.size() >= suffix.size() && label.substr(label.size() - suffix.size()) == suffix;
    if (comma == std::string_view::npos || !is_base64) refuse_field(name, "is " + start_of(url) + "; a data: URL must have the form data:image/png;base64,...");
    if (!begins_with(label, "image/")) refuse_field(name, "is " + start_of(url) + ", which is no image; its type must begin with image/");
    return text.substr(comma + 1);
}

// stb_image over bytes in memory. It takes what is missing at the end of a file for zeros; here that is noticed.
struct image_reader {
    const unsigned char *at, *end;
    bool beyond = false;

    static int read(void *user, char *out, int size) {
        image_reader &self = *static_cast<image_reader *>(user);
        const int n = static_cast<int>(std::min<ptrdiff_t>(size, self.end - self.at));
        std::memcpy(out, self.at, static_cast<size_t>(n));
        self.at += n;
        self.beyond = self.beyond || n == 0;
        return n;
    }
    static void skip(void *user, int n) {
        image_reader &self = *static_cast<image_reader *>(user);
        self.beyond = self.beyond || n > self.end - self.at;
        self.at += std::min<ptrdiff_t>(n, self.end - self.at);
    }
    static int eof(void *user) {
        const image_reader &self = *static_cast<image_reader *>(user);
        return self.at == self.end;
    }
};

struct image_deleter {
    void operator()(unsigned char *image) const { stbi_image_free(image); }
};

constexpr size_t png_header = 8;

bool begins_with(const std::vector<unsigned char> &file, std::string_view start) { return file.size() >= start.size() && std::memcmp(file.data(), start.data(), start.size()) == 0; }

bool is_png(const std::vector<unsigned char> &file) { return begins_with(file, "\x89PNG\r\n\x1A\n"); }

// stb_image reads more, but of TGA there is no telling whether it is one, and few have tried its PSD, PIC and HDR.
bool is_image(const std::vector<unsigned char> &file) {
    return is_png(file) || begins_with(file, "\xFF\xD8\xFF") || begins_with(file, "GIF87a") || begins_with(file, "GIF89a") || begins_with(file, "BM");
}

size_t big_endian(const std::vector<unsigned char> &file, size_t at) { return static_cast<size_t>(file[at]) << 24 | file[at + 1] << 16 | file[at + 2] << 8 | file[at + 3]; }

// PNG is the one format whose data can unpack to more than the image has: stb_image would follow them up to 4 GB.
bool unpacks_beyond(const std::vector<unsigned char> &file, size_t n_pixels) {
    constexpr size_t frame = 12;         // length, type and check sum of a chunk
    constexpr size_t most_ratio = 1032;  // of deflate
    std::vector<char> packed;
    for (size_t at = png_header; at + frame <= file.size();) {
        const size_t size = big_endian(file, at);
        if (size > file.size() - at - frame) break;  // cut off, which the decoder tells
        if (std::memcmp(file.data() + at + 4, "IDAT", 4) == 0) packed.insert(packed.end(), file.begin() + at + 8, file.begin() + at + 8 + size);
        at += frame + size;
    }
    if (packed.size() <= most_bytes_each / most_ratio) return false;
    // At most four channels of two bytes; and the filters of narrow rows, in each of the passes if it is interlaced.
    const size_t most = n_pixels * 8 * 3 + 4096;
    if (most > static_cast<size_t>(INT32_MAX)) return false;  // as large as stb_image can follow
    const std::unique_ptr<char[]> unpacked(new char[most]);
    return stbi_zlib_decode_buffer(unpacked.get(), static_cast<int>(most), packed.data(), static_cast<int>(packed.size())) < 0;
}

mtmd::bitmap_ptr decoded_image(const std::vector<unsigned char> &file, const std::string &name) {
    const auto refuse = [&](const std::string &reason) { throw failure(MULLAMA_E_MEDIA_INVALID, name + " " + reason); };
    const std::string what = "(" + std::to_string(file.size()) + " bytes) is no image that can be decoded";
    if (!is_image(file)) refuse(what + "; JPEG, PNG, GIF and BMP are taken");
    const auto not_decoded = [&] {
        const char *reason = stbi_failure_reason();
        refuse(what + ": " + (reason ? reason : "no reason is known") + "; send it as a JPEG or PNG that other programs can show");
    };
    const auto check_size = [&](size_t width, size_t height) {
        if (width > 0 && height > 0 && width <= most_bytes_each / 3 / height) return;
        refuse("is an image of " + std::to_string(width) + " x " + std::to_string(height) + " pixels; 1 to " + std::to_string(most_bytes_each / 3) + " pixels are taken, make it smaller");
    };
    if (is_png(file) && file.size() >= 24) check_size(big_endian(file, 16), big_endian(file, 20));  // of the largest stb_image says no more than that it knows no such type
    int width = 0, height = 0, channels = 0;
    if (file.size() > static_cast<size_t>(INT32_MAX) || !stbi_info_from_memory(file.data(), static_cast<int>(file.size()), &width, &height, &channels)) not_decoded();
    check_size(static_cast<size_t>(width), static_cast<size_t>(height));
    if (is_png(file) && unpacks_beyond(file, static_cast<size_t>(width) * static_cast<size_t>(height))) {
        refuse(what + ": its data do not unpack to its " + std::to_string(width) + " x " + std::to_string(height) + " pixels");
    }
    const stbi_io_callbacks callbacks = {image_reader::read, image_reader::skip, image_reader::eof};
    image_reader reader{file.data(), file.data() + file.size()};
    const std::unique_ptr<unsigned char, image_deleter> pixels(stbi_load_from_callbacks(&callbacks, &reader, &width, &height, &channels, 3));
    if (!pixels) not_decoded();
    if (reader.beyond) refuse("(" + std::to_string(file.size()) + " bytes) is cut off: its data end before the image does");
    return mtmd::bitmap_ptr(mtmd_bitmap_init(static_cast<uint32_t>(width), static_cast<uint32_t>(height), pixels.get()));
}

// The bytes of a checked image_url or input_audio, which leave the message. `name` is the field with the base64.
std::vector<unsigned char> take_image(common_json &part, const std::string &name) {
    const std::string url = part.at("image_url").at("url").get<std::string>();
    std::vector<unsigned char> file = decoded_base64(data_of_url(url, name), name);
    part["image_url"] = common_json::object({{"url", taken_out}});
    return file;
}

std::vector<unsigned char> take_sound(common_json &part, const std::string &name) {
    std::vector<unsigned char> file = decoded_base64(part.at("input_audio").at("data").get<std::string>(), name);
    part["input_audio"] = common_json::object({{"data", taken_out}});
    return file;
}

}  // namespace

void check_detail(const std::string &detail, const std::string &name) {
    if (detail == "auto" || detail == "high") return;
    refuse_field(name, "is \"" + detail + "\"; it must be auto or high, an image is taken with all that the projector sees of it");
}

std::vector<unsigned char> decoded_base64(std::string_view text, const std::string &name) {
    static constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::array<int8_t, 256> values;
    values.fill(-1);
    for (size_t i = 0; i < letters.size(); ++i) values[static_cast<unsigned char>(letters[i])] = static_cast<int8_t>(i);
    std::vector<unsigned char> bytes;
    bytes.reserve(text.size() / 4 * 3 + 3);
    uint32_t held = 0;
    size_t n_letters = 0, n_padding = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const unsigned char c = static_cast<unsigned char>(text[i]);
        if (c == '\n' || c == '\r') continue;
        const int8_t value = values[c];
        if (c == '=' ? ++n_padding > 2 : value < 0 || n_padding > 0) {
            const std::string shown = c > 0x20 && c < 0x7F ? std::string("\"") + static_cast<char>(c) + "\"" : "the byte " + std::to_string(c);
            refuse_field(name, "is no base64: " + shown + " stands at byte " + std::to_string(i) + " of the data");
        }
        if (c == '=') continue;
        held = held << 6 | static_cast<uint32_t>(value);
        if (++n_letters % 4 == 0) {
            for (int shift : {16, 8, 0}) bytes.push_back(static_cast<unsigned char>(held >> shift));
        }
    }
    const size_t rest = n_letters % 4;
    if (rest == 1 || (n_padding && rest + n_padding != 4)) refuse_field(name, "is no base64: it has " + std::to_string(n_letters) + " letters and " + std::to_string(n_padding) + " =, so that some are missing");
    if (rest >= 2) bytes.push_back(static_cast<unsigned char>(held >> (rest == 2 ? 4 : 10)));
    if (rest == 3) bytes.push_back(static_cast<unsigned char>(held >> 2));
    if (bytes.empty()) refuse_field(name, "is empty; give the bytes of a file as base64");
    return bytes;
}

std::vector<medium> take_media(const engine_llama &llama, common_json &messages, const std::vector<std::string> &names) {
    std::vector<medium> media;
    size_t n_bytes = 0;
    for (size_t i = 0; i < messages.size(); ++i) {
        common_json &message = messages.at(i);
        if (!message.contains("content") || !message.at("content").is_array()) continue;
        for (size_t j = 0; j < message.at("content").size(); ++j) {
            common_json &part = message.at("content").at(j);
            const bool is_image = part.at("type") == "image_url", is_sound = part.at("type") == "input_audio";
            if (!is_image && !is_sound) continue;
            const bool is_named = media.size() < names.size();
            const std::string at = is_named ? names[media.size()] : place(place("messages", i) + ".content", j);
            const std::string name = is_named ? at : at + (is_image ? ".image_url.url" : ".input_audio.data");
            if (is_image && !llama.chat_params().allow_image) throw failure(MULLAMA_E_UNSUPPORTED, at + " is an image; open the engine with a projector that sees images");
            if (is_sound && !llama.chat_params().allow_audio) throw failure(MULLAMA_E_UNSUPPORTED, at + " is sound; open the engine with a projector that hears");
            const std::vector<unsigned char> file = is_image ? take_image(part, name) : take_sound(part, name);
            medium taken{name, i, {}};
            if (is_image) {
                taken.bitmap = decoded_image(file, name);
            } else {
                const std::vector<float> samples = decoded_sound(file, mtmd_get_audio_sample_rate(llama.projector()), most_bytes_each / sizeof(float), name);
                taken.bitmap.reset(mtmd_bitmap_init_from_audio(samples.size(), samples.data()));
            }
            mtmd_bitmap_set_id(taken.bitmap.get(), hash_sha256_hex(file.data(), file.size()).c_str());
            n_bytes += mtmd_bitmap_get_n_bytes(taken.bitmap.get());
            if (n_bytes > most_bytes) {
                throw failure(MULLAMA_E_MEDIA_INVALID, name + " is too much with what stands before it: the images and sounds of a request may have " + std::to_string(most_bytes >> 20) +
                                                           " MiB when they are decoded, three bytes for a pixel and four for a sample");
            }
            media.push_back(std::move(taken));
        }
    }
    return media;
}

}  // namespace mullama
