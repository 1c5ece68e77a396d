# ggml's processor backend with products of our own in front of its (src/ggml/gemm_q4_1.cpp); docs/decisions/0009 says why.
# A macro, because the linker's --wrap does not reach into the joined objects of the processor variants.

# llama.cpp's programs that the library is compared with call what llama.cpp calls.
function(mullama_without_gemm)
  foreach(program IN LISTS ARGN)
    if(GGML_LLAMAFILE)
      target_link_options(${program} PRIVATE "LINKER:--defsym=mullama_gemm=llamafile_sgemm")
    endif()
  endforeach()
endfunction()

if(NOT GGML_LLAMAFILE)
  return()  # ggml calls neither
endif()
set(MULLAMA_GEMM "${CMAKE_CURRENT_SOURCE_DIR}/src/ggml/gemm_q4_1.cpp")
target_sources(ggml-cpu PRIVATE "${MULLAMA_GEMM}")
set(caller "${MULLAMA_LLAMA_CPP}/ggml/src/ggml-cpu/ggml-cpu.c")
# Here too: the variants are targets of this folder.
set_property(SOURCE "${caller}" DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" TARGET_DIRECTORY ggml-cpu
  APPEND PROPERTY COMPILE_DEFINITIONS llamafile_sgemm=mullama_gemm)
if(NOT MSVC)
  set_property(SOURCE "${MULLAMA_GEMM}" DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" TARGET_DIRECTORY ggml-cpu
    APPEND PROPERTY COMPILE_OPTIONS "-ffile-prefix-map=${CMAKE_CURRENT_SOURCE_DIR}=abi")
endif()
