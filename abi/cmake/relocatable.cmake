# Joins objects and static libraries into one object in which only chosen names are global (ELF).

# Why that is not possible in this build; empty where it is.
set(MULLAMA_CANNOT_JOIN)
if(APPLE OR WIN32)
  set(MULLAMA_CANNOT_JOIN "This is no ELF system.")
elseif(CMAKE_INTERPROCEDURAL_OPTIMIZATION OR GGML_LTO OR "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-flto")
  set(MULLAMA_CANNOT_JOIN "Link-time optimization leaves no machine code to join.")
endif()

# Every static library that the given targets link, themselves or through others.
function(mullama_static_libraries out)
  set(open ${ARGN})
  set(found)
  while(open)
    list(POP_FRONT open name)
    string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" name "${name}")
    if(NOT TARGET "${name}" OR name IN_LIST found)
      continue()
    endif()
    get_target_property(type ${name} TYPE)
    if(type STREQUAL "STATIC_LIBRARY")
      list(APPEND found ${name})
    endif()
    foreach(property LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
      get_target_property(linked ${name} ${property})
      if(linked)
        list(APPEND open ${linked})
      endif()
    endforeach()
  endwhile()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# mullama_relocatable(<output> OBJECTS <object>... [LIBRARIES <target>...] [LINK_OPTIONS <option>...]
#   OBJCOPY <option>...)
# COMDAT groups are dissolved: two such objects, compiled for different processors, never share an inline function.
set(MULLAMA_WEAKEN_UNIQUE "${CMAKE_CURRENT_LIST_DIR}/weaken_unique.cmake")
function(mullama_relocatable output)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "OBJECTS;LIBRARIES;LINK_OPTIONS;OBJCOPY")
  list(TRANSFORM arg_LIBRARIES REPLACE "(.+)" "$<TARGET_FILE:\\1>" OUTPUT_VARIABLE files)
  if(files)
    set(files --start-group ${files} --end-group)
  endif()
  add_custom_command(OUTPUT "${output}"
    COMMAND "${CMAKE_LINKER}" -r --force-group-allocation ${arg_LINK_OPTIONS} -o "${output}" ${arg_OBJECTS} ${files}
    COMMAND "${CMAKE_COMMAND}" "-DNM=${CMAKE_NM}" "-DOBJCOPY=${CMAKE_OBJCOPY}" "-DOBJECT=${output}"
      -P "${MULLAMA_WEAKEN_UNIQUE}"
    COMMAND "${CMAKE_OBJCOPY}" ${arg_OBJCOPY} "${output}"
    DEPENDS ${arg_OBJECTS} ${arg_LIBRARIES} "${MULLAMA_WEAKEN_UNIQUE}"
    COMMENT "Joining ${output}" COMMAND_EXPAND_LISTS VERBATIM)
endfunction()
