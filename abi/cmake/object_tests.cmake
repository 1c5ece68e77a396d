# A test program of the library's own objects: it reaches behind the handles, which no installed library allows.
set(source "${CMAKE_CURRENT_SOURCE_DIR}/../tests/abi/backend_abort_test.cpp")
if(NOT EXISTS "${source}")  # a source package has no tests
  return()
endif()
get_target_property(objects mullama SOURCES)
add_executable(backend-abort-test EXCLUDE_FROM_ALL "${source}" ${objects})
target_include_directories(backend-abort-test PRIVATE include src)
target_include_directories(backend-abort-test SYSTEM PRIVATE ${MULLAMA_LLAMA_CPP_INCLUDES})
target_link_libraries(backend-abort-test PRIVATE ${MULLAMA_PARTS})
target_link_options(backend-abort-test PRIVATE ${wrap})
set_target_properties(backend-abort-test PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
