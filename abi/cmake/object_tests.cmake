# Test programs of the library's own objects: they reach behind the handles, which no installed library allows.
set(tests "${CMAKE_CURRENT_SOURCE_DIR}/../tests")
if(NOT EXISTS "${tests}")  # a source package has no tests
  return()
endif()
get_target_property(objects mullama SOURCES)

function(add_object_test name source)
  add_executable(${name} EXCLUDE_FROM_ALL "${tests}/${source}" ${objects})
  target_include_directories(${name} PRIVATE include src)
  target_include_directories(${name} SYSTEM PRIVATE ${MULLAMA_LLAMA_CPP_INCLUDES})
  target_link_libraries(${name} PRIVATE ${MULLAMA_PARTS})
  target_link_options(${name} PRIVATE ${wrap})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
endfunction()

add_object_test(backend-abort-test abi/backend_abort_test.cpp)
add_object_test(engine-fault engine/fault.cpp)
add_object_test(engine-parse engine/parse.cpp)
add_object_test(gemm-test core/gemm.cpp)
if(MULLAMA_WRAP)
  add_object_test(grammar-mask vocabularies/grammar_mask.cpp)
endif()

# The same objects with a sanitizer, and those parts of llama.cpp that requests go through: texts, JSON, schemas, grammars, templates,
# samplers, queues. What computes stays as it is, which costs a build of minutes instead of one of everything.
# Objects come before archives when they are linked, and their copies of inline functions are the ones that are taken.
set(MULLAMA_SANITIZED_PARTS
  common/json common/json-schema common/json-schema-to-grammar common/chat common/chat-peg-parser common/sampling common/reasoning-budget
  common/unicode common/trie common/jinja/caps common/jinja/lexer common/jinja/parser common/jinja/string common/jinja/value
  tools/server/server-chat tools/server/server-common tools/server/server-queue tools/server/server-schema tools/server/server-task
  src/llama-grammar src/llama-sampler src/llama-vocab src/unicode)
set(parts ${MULLAMA_SANITIZED_PARTS})
list(TRANSFORM parts PREPEND "${MULLAMA_LLAMA_CPP}/")
list(TRANSFORM parts APPEND ".cpp")
get_target_property(sources mullama-objects SOURCES)

function(add_sanitized name)
  set(flags -fsanitize=${ARGN} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g1)
  foreach(kind ours llama)
    add_library(mullama-${kind}-${name} OBJECT EXCLUDE_FROM_ALL)
    get_target_property(definitions mullama-objects COMPILE_DEFINITIONS)
    target_compile_definitions(mullama-${kind}-${name} PRIVATE ${definitions})
    target_include_directories(mullama-${kind}-${name} PRIVATE include src)
    target_include_directories(mullama-${kind}-${name} SYSTEM PRIVATE ${MULLAMA_LLAMA_CPP_INCLUDES})
    target_link_libraries(mullama-${kind}-${name} PRIVATE ${MULLAMA_PARTS})
    target_compile_options(mullama-${kind}-${name} PRIVATE ${flags})
    set_target_properties(mullama-${kind}-${name} PROPERTIES CXX_VISIBILITY_PRESET hidden)
  endforeach()
  target_sources(mullama-ours-${name} PRIVATE ${sources})
  target_sources(mullama-llama-${name} PRIVATE ${parts})
  target_compile_options(mullama-llama-${name} PRIVATE -w -fno-sanitize=undefined)  # its own arithmetic is not ours to mend
  set(objects $<TARGET_OBJECTS:mullama-ours-${name}> $<TARGET_OBJECTS:mullama-llama-${name}>)

  foreach(program fault stress)
    add_executable(engine-${program}-${name} EXCLUDE_FROM_ALL "${tests}/engine/${program}.cpp" ${objects})
    target_include_directories(engine-${program}-${name} PRIVATE include src)
    target_include_directories(engine-${program}-${name} SYSTEM PRIVATE ${MULLAMA_LLAMA_CPP_INCLUDES})
    target_link_libraries(engine-${program}-${name} PRIVATE ${MULLAMA_PARTS})
    target_compile_options(engine-${program}-${name} PRIVATE ${flags})
    target_link_options(engine-${program}-${name} PRIVATE ${wrap} -fsanitize=${ARGN})
    set_target_properties(engine-${program}-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  endforeach()

  # What Python loads in place of the library: LD_LIBRARY_PATH comes before a run path.
  add_library(mullama-${name} SHARED EXCLUDE_FROM_ALL ${objects})
  set_target_properties(mullama-${name} PROPERTIES OUTPUT_NAME mullama SOVERSION ${PROJECT_VERSION_MAJOR} LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/${name}")
  target_link_libraries(mullama-${name} PRIVATE ${MULLAMA_PARTS})
  target_link_options(mullama-${name} PRIVATE ${wrap} -fsanitize=${ARGN}
    "LINKER:--version-script=${CMAKE_CURRENT_SOURCE_DIR}/libmullama.map" "LINKER:--exclude-libs,ALL")
endfunction()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  add_sanitized(address address,undefined)
  add_sanitized(thread thread)
endif()
