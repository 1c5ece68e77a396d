#include "loading.h"

#include <cstring>
#include <mutex>

#include "library.h"

#if defined(_WIN32)
#  include <windows.h>
#else
#  include <dlfcn.h>
#endif

namespace binding {

Library lib;

namespace {

std::mutex mutex;
std::string loaded_path;

#if defined(_WIN32)

std::wstring wide(const std::string &text) {
    std::wstring result(MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), nullptr, 0), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), static_cast<int>(text.size()), result.data(), static_cast<int>(result.size()));
    return result;
}

void *open(const std::string &path, std::string &why) {
    // The folder of the library is searched for what it needs, where the path names one.
    const DWORD flags = path.find_first_of("/\\") == std::string::npos ? 0 : LOAD_WITH_ALTERED_SEARCH_PATH;
    const HMODULE module = LoadLibraryExW(wide(path).c_str(), nullptr, flags);
    if (!module) why = path + " cannot be loaded: error " + std::to_string(GetLastError()) + " of Windows";
    return module;
}

void *symbol(void *library, const char *name) {
    return reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(library), name));
}

std::string path_of(void *library, void *) {
    wchar_t buffer[4096];
    const DWORD length = GetModuleFileNameW(static_cast<HMODULE>(library), buffer, 4096);
    std::string result(WideCharToMultiByte(CP_UTF8, 0, buffer, static_cast<int>(length), nullptr, 0, nullptr, nullptr), '\0');
    WideCharToMultiByte(CP_UTF8, 0, buffer, static_cast<int>(length), result.data(), static_cast<int>(result.size()), nullptr, nullptr);
    return result;
}

#else

void *open(const std::string &path, std::string &why) {
    void *const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) why = dlerror();
    return library;
}

void *symbol(void *library, const char *name) { return dlsym(library, name); }

std::string path_of(void *, void *function) {
    Dl_info info;
    return dladdr(function, &info) && info.dli_fname ? info.dli_fname : "an unknown place";
}

#endif

std::string version(uint32_t packed) { return std::to_string(packed >> 16) + "." + std::to_string(packed & 0xffff); }

}  // namespace

std::string load_library(const std::string &path) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!loaded_path.empty()) return "";
    std::string why;
    void *const library = open(path, why);
    if (!library) return why;
    void *const abi_version = symbol(library, abi_version_symbol);
    if (!abi_version) return path + " is no lib" + api_name + ": it has no " + abi_version_symbol;
    const std::string place = path_of(library, abi_version);
    const uint32_t has = reinterpret_cast<uint32_t (*)()>(abi_version)();
    if (has >> 16 != required_abi >> 16 || has < required_abi) {
        return "this binding needs ABI " + version(required_abi) + " of lib" + api_name + ", but the library at " + place +
               " has ABI " + version(has);
    }
    for (const Symbol &one : symbols) {
        void *const address = symbol(library, one.name);
        if (!address) return "the library at " + place + " has ABI " + version(has) + ", but no " + one.name;
        std::memcpy(reinterpret_cast<char *>(&lib) + one.offset, &address, sizeof address);
    }
    loaded_path = place;
    return "";  // never closed: threads of the library may outlive every environment
}

std::string library_path() {
    std::lock_guard<std::mutex> lock(mutex);
    return loaded_path;
}

}  // namespace binding
