# Gathers the licence texts of everything that libmullama links in, so that they travel with it into every package.
set(MULLAMA_LICENSES "${CMAKE_CURRENT_BINARY_DIR}/licenses")

configure_file("${CMAKE_CURRENT_SOURCE_DIR}/../LICENSE" "${MULLAMA_LICENSES}/mullama.txt" COPYONLY)
configure_file("${MULLAMA_LLAMA_CPP}/LICENSE" "${MULLAMA_LICENSES}/llama.cpp.txt" COPYONLY)

file(GLOB licenses "${MULLAMA_LLAMA_CPP}/licenses/LICENSE-*")
foreach(license IN LISTS licenses)
  string(REGEX REPLACE ".*/LICENSE-" "" name "${license}")
  configure_file("${license}" "${MULLAMA_LICENSES}/${name}.txt" COPYONLY)
endforeach()

# A vendored library without a file of its own states its licence in its header.
file(GLOB licenses "${MULLAMA_LLAMA_CPP}/vendor/*/LICENSE*" "${MULLAMA_LLAMA_CPP}/vendor/hash/*/LICENSE*")
foreach(license IN LISTS licenses)
  get_filename_component(name "${license}" DIRECTORY)
  get_filename_component(name "${name}" NAME)
  configure_file("${license}" "${MULLAMA_LICENSES}/${name}.txt" COPYONLY)
endforeach()
