# Several compilations of ggml's processor backend in one library, which takes the best that the processor can run
# (src/cpu_variant.cpp). ggml offers the same as plug-in files; docs/decisions/0005 says why they are linked in.
set(MULLAMA_CPU_VARIANTS OFF CACHE STRING
  "ON, or a list of variants: a library that runs on every processor and is fast on each. OFF: made for this machine")

# Best first. The names are ggml's, which has more, each close to one of these. A name stands for instruction sets as
# the compiler's -m and its __builtin_cpu_supports call them; x64 is what every x86-64 processor has.
set(avx512 avx512f avx512cd avx512vl avx512dq avx512bw)
set(haswell sse4.2 avx f16c fma avx2 bmi2)
set(MULLAMA_CPU_KNOWN sapphirerapids zen4 cascadelake alderlake haswell sandybridge sse42 x64)
set(MULLAMA_CPU_sapphirerapids ${haswell} ${avx512} avx512vbmi avx512vnni avx512bf16 amx-tile amx-int8)
set(MULLAMA_CPU_zen4 ${haswell} ${avx512} avx512vbmi avx512vnni avx512bf16)
set(MULLAMA_CPU_cascadelake ${haswell} ${avx512} avx512vnni)
set(MULLAMA_CPU_alderlake ${haswell} avxvnni)
set(MULLAMA_CPU_haswell ${haswell})
set(MULLAMA_CPU_sandybridge sse4.2 avx)
set(MULLAMA_CPU_sse42 sse4.2)
set(MULLAMA_CPU_x64)

if(NOT MULLAMA_CPU_VARIANTS)
  return()
endif()

if(MULLAMA_CANNOT_JOIN OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  message(FATAL_ERROR
    "MULLAMA_CPU_VARIANTS is ${MULLAMA_CPU_VARIANTS}, which needs an ELF system on x86-64, without link-time "
    "optimization; this is ${CMAKE_SYSTEM_NAME} on ${CMAKE_SYSTEM_PROCESSOR}. ${MULLAMA_CANNOT_JOIN} "
    "-DGGML_NATIVE=OFF makes one backend that runs on most processors of the kind.")
endif()
string(REGEX MATCH "^(1|ON|YES|TRUE|Y)$" all "${MULLAMA_CPU_VARIANTS}")
foreach(name IN LISTS MULLAMA_CPU_VARIANTS)
  if(NOT name IN_LIST MULLAMA_CPU_KNOWN AND NOT all)
    list(JOIN MULLAMA_CPU_KNOWN ", " known)
    message(FATAL_ERROR "MULLAMA_CPU_VARIANTS names \"${name}\"; it can be ON, or a list of ${known}.")
  endif()
endforeach()
set(questions)
foreach(name IN LISTS MULLAMA_CPU_KNOWN)
  # x64 is always there: without it the library would end the process on a processor that can run none of the others.
  if(name IN_LIST MULLAMA_CPU_VARIANTS OR name STREQUAL "x64" OR all)
    list(APPEND MULLAMA_CPU_NAMES ${name})
    list(TRANSFORM MULLAMA_CPU_${name} REPLACE "(.+)" " + __builtin_cpu_supports(\"\\1\")" OUTPUT_VARIABLE asked)
    list(APPEND questions ${asked})
  endif()
endforeach()

include(CheckCXXSourceCompiles)
list(JOIN questions "" questions)
check_cxx_source_compiles("int main() { return 0${questions}; }" MULLAMA_CPU_CAN_ASK)
if(NOT MULLAMA_CPU_CAN_ASK)
  message(FATAL_ERROR
    "MULLAMA_CPU_VARIANTS needs a compiler whose __builtin_cpu_supports knows all instruction sets of "
    "${MULLAMA_CPU_NAMES}: GCC 11 or newer does. This is ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}; "
    "set CC=gcc and CXX=g++ in a new build folder.")
endif()

# ggml's own target becomes x64, and a template for the others. Not in the cache: the folder can be made native again.
foreach(option NATIVE SSE42 AVX F16C FMA AVX2 BMI2 AVX_VNNI
    AVX512 AVX512_VBMI AVX512_VNNI AVX512_BF16 AMX_TILE AMX_INT8 AMX_BF16)
  set(GGML_${option} OFF)
endforeach()

# Sets <out> to an object for each variant. Called when ggml-cpu exists.
function(mullama_cpu_variants out)
  get_target_property(folder ggml-cpu SOURCE_DIR)
  get_target_property(standard ggml-cpu C_STANDARD)
  get_target_property(sources ggml-cpu SOURCES)
  list(FILTER sources INCLUDE REGEX "\\.(c|cpp)$")
  list(TRANSFORM sources PREPEND "${folder}/" REGEX "^[^/]")
  set(objects)
  set(list "")
  foreach(name IN LISTS MULLAMA_CPU_NAMES)
    if(name STREQUAL "x64")
      set(target ggml-cpu)
    else()
      set(target ggml-cpu-${name})
      add_library(${target} OBJECT ${sources})
      foreach(property COMPILE_DEFINITIONS INCLUDE_DIRECTORIES)
        set_property(TARGET ${target} PROPERTY ${property} "$<TARGET_PROPERTY:ggml-cpu,${property}>")
      endforeach()
      set_property(TARGET ${target} PROPERTY C_STANDARD ${standard})
      list(TRANSFORM MULLAMA_CPU_${name} PREPEND "-m" OUTPUT_VARIABLE flags)
      set_property(TARGET ${target} PROPERTY COMPILE_OPTIONS "$<TARGET_PROPERTY:ggml-cpu,COMPILE_OPTIONS>" ${flags})
    endif()
    set(object "${CMAKE_CURRENT_BINARY_DIR}/cpu-${name}.o")
    mullama_relocatable("${object}" OBJECTS "$<TARGET_OBJECTS:${target}>"
      OBJCOPY "--redefine-sym=ggml_backend_cpu_reg=ggml_backend_cpu_reg_${name}"
        "--keep-global-symbol=ggml_backend_cpu_reg_${name}")
    list(APPEND objects "${object}")
    list(TRANSFORM MULLAMA_CPU_${name} REPLACE "(.+)" "NEEDS(\"\\1\")" OUTPUT_VARIABLE needs)
    list(JOIN needs ", " needs)
    string(APPEND list "VARIANT(${name}, ${needs})\n")
  endforeach()
  file(CONFIGURE OUTPUT cpu_variants/cpu_variants.inc CONTENT "${list}" @ONLY)
  set(${out} ${objects} PARENT_SCOPE)
endfunction()
