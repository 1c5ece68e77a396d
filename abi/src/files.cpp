// Reading whole files, and replacing them.
#include "files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "failure.h"
#include "ggml.h"
#include "libmullama.h"
#include "text.h"

namespace mullama {

namespace {

namespace fs = std::filesystem;

struct closer {
    void operator()(FILE *file) const { std::fclose(file); }
};

[[noreturn]] void throw_unwritable(const std::string &path, const std::string &reason) {
    throw failure(MULLAMA_E_FILE_UNWRITABLE, "\"" + shortened(path, longest_reason) + "\" cannot be written: " + reason);
}

// Writes and closes; gives the error number, 0 for success.
int write_all(const std::string &path, const std::vector<uint8_t> &bytes) {
    std::unique_ptr<FILE, closer> file(ggml_fopen(path.c_str(), "wb"));
    if (!file) return errno;
    if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size() || std::fflush(file.get()) != 0) return errno;
    return std::fclose(file.release()) == 0 ? 0 : errno;
}

}  // namespace

void require_regular_file(const std::string &path) {
    // Not stat: on Windows it reads the path in another encoding, and refuses files of 2 GB and more.
    std::error_code error;
    const fs::file_status status = fs::status(fs::u8path(path), error);
    if (status.type() == fs::file_type::not_found) {
        throw failure(MULLAMA_E_FILE_NOT_FOUND, "there is no file \"" + shortened(path, longest_reason) + "\"; check the path, or fetch the file first");
    }
    if (error) throw failure(MULLAMA_E_FILE_UNREADABLE, "\"" + shortened(path, longest_reason) + "\" cannot be read: " + error.message());
    if (fs::is_directory(status)) {
        throw failure(MULLAMA_E_FILE_UNREADABLE, "\"" + shortened(path, longest_reason) + "\" is a folder; name the file in it");
    }
    if (!fs::is_regular_file(status)) {
        throw failure(MULLAMA_E_FILE_UNREADABLE, "\"" + shortened(path, longest_reason) + "\" is not a regular file");
    }
}

std::vector<uint8_t> read_file(const std::string &path) {
    require_regular_file(path);
    const std::unique_ptr<FILE, closer> file(ggml_fopen(path.c_str(), "rb"));
    if (!file) throw failure(MULLAMA_E_FILE_UNREADABLE, "\"" + shortened(path, longest_reason) + "\" cannot be opened: " + std::strerror(errno));
    std::vector<uint8_t> bytes;
    constexpr size_t step = 1 << 20;
    for (size_t got = step; got == step;) {
        const size_t before = bytes.size();
        bytes.resize(before + step);
        got = std::fread(&bytes[before], 1, step, file.get());
        bytes.resize(before + got);
    }
    if (std::ferror(file.get())) throw failure(MULLAMA_E_FILE_UNREADABLE, "\"" + shortened(path, longest_reason) + "\" cannot be read: " + std::strerror(errno));
    return bytes;
}

void write_file(const std::string &path, const std::vector<uint8_t> &bytes) {
    std::error_code error;
    const fs::file_status there = fs::symlink_status(fs::u8path(path), error);
    if (fs::is_directory(there)) throw_unwritable(path, "it is a folder; name a file in it");
    if (fs::exists(there) && !fs::is_regular_file(there)) {  // a device or a link is written through, not replaced
        if (const int reason = write_all(path, bytes)) throw_unwritable(path, std::strerror(reason));
        return;
    }
    const std::string part = path + ".part";
    if (const int reason = write_all(part, bytes)) {
        fs::remove(fs::u8path(part), error);
        throw_unwritable(path, std::strerror(reason));
    }
    fs::rename(fs::u8path(part), fs::u8path(path), error);
    if (error) {
        const std::string reason = error.message();
        fs::remove(fs::u8path(part), error);
        throw_unwritable(path, reason);
    }
}

}  // namespace mullama
