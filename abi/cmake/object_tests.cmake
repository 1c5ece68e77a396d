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
