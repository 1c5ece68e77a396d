# Translates MULLAMA_BACKEND, the short name of a GPU backend, into ggml's option.
set(MULLAMA_BACKEND "$ENV{MULLAMA_BACKEND}" CACHE STRING "A GPU backend: cuda, metal, rocm, vulkan or opencl")

set(MULLAMA_BACKEND_cuda GGML_CUDA)
set(MULLAMA_BACKEND_metal GGML_METAL)
set(MULLAMA_BACKEND_rocm GGML_HIP)
set(MULLAMA_BACKEND_vulkan GGML_VULKAN)
set(MULLAMA_BACKEND_opencl GGML_OPENCL)

if(MULLAMA_BACKEND)
  if(NOT DEFINED MULLAMA_BACKEND_${MULLAMA_BACKEND})
    message(FATAL_ERROR "MULLAMA_BACKEND is \"${MULLAMA_BACKEND}\"; it can be cuda, metal, rocm, vulkan or opencl.")
  endif()
  set(${MULLAMA_BACKEND_${MULLAMA_BACKEND}} ON CACHE BOOL "" FORCE)
endif()
