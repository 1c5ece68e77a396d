// Magic and version.
#include "gguf_check.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>

#include "failure.h"
#include "ggml.h"
#include "gguf.h"
#include "libmullama.h"

namespace mullama {

namespace {

struct closer {
    void operator()(FILE *file) const { std::fclose(file); }
};

}  // namespace

void check_gguf(const std::string &path, bool) {
    const std::unique_ptr<FILE, closer> file(ggml_fopen(path.c_str(), "rb"));
    if (!file) throw failure(MULLAMA_E_FILE_UNREADABLE, "\"" + path + "\" cannot be opened: " + std::strerror(errno));
    unsigned char head[8];
    const size_t size = std::fread(head, 1, sizeof(head), file.get());
    if (size == 0) throw failure(MULLAMA_E_MODEL_INVALID, "\"" + path + "\" is empty; fetch it again");
    if (size < 4 || std::memcmp(head, GGUF_MAGIC, 4) != 0) {
        char shown[16];
        std::snprintf(shown, sizeof(shown), "%02x %02x %02x %02x", head[0], size > 1 ? head[1] : 0, size > 2 ? head[2] : 0, size > 3 ? head[3] : 0);
        throw failure(MULLAMA_E_MODEL_INVALID, "\"" + path + "\" is not a GGUF file: it begins with the bytes " + shown + ", not 47 47 55 46 (GGUF)");
    }
    if (size < sizeof(head)) throw failure(MULLAMA_E_MODEL_INVALID, "\"" + path + "\" ends within its header; fetch it again");
    uint32_t version;
    std::memcpy(&version, head + 4, sizeof(version));
    if (version != 0 && (version & 0xffff) == 0) {
        throw failure(MULLAMA_E_MODEL_UNSUPPORTED, "\"" + path + "\" has the other byte order; convert it with llama.cpp's gguf_convert_endian.py");
    }
    if (version > GGUF_VERSION || version < 2) {
        throw failure(MULLAMA_E_MODEL_UNSUPPORTED, "\"" + path + "\" has GGUF version " + std::to_string(version) +
                                                       "; this build reads versions 2 to " + std::to_string(GGUF_VERSION));
    }
}

}  // namespace mullama
