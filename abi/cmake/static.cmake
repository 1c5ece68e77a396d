# libmullama.a: the whole library in one object that defines mullama_* and no other global name.
mullama_static_libraries(libraries ${MULLAMA_PARTS})

# A GPU backend needs its vendor's libraries, which a static archive cannot name for every machine.
set(backends ${libraries})
list(FILTER backends INCLUDE REGEX "^ggml-")
list(REMOVE_ITEM backends ggml-base ggml-cpu)
set(reason "${MULLAMA_CANNOT_JOIN}")
if(backends)
  list(JOIN backends ", " backends)
  set(reason "It would lack what ${backends} needs at run time.")
endif()
if(reason)
  message(STATUS "libmullama.a and mullama-static.pc are left out. ${reason}")
  return()
endif()

file(STRINGS libmullama.map names REGEX "^ +mullama_[a-z0-9_]+;$")
list(TRANSFORM names REPLACE "^ +([a-z0-9_]+);$" "\\1\n")
list(JOIN names "" names)
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/static-names.txt" "${names}")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS libmullama.map)

set(object "${CMAKE_CURRENT_BINARY_DIR}/mullama-static.o")
mullama_relocatable("${object}"
  OBJECTS ${MULLAMA_OBJECTS} LIBRARIES ${libraries} LINK_OPTIONS ${MULLAMA_WRAP}
  OBJCOPY "--keep-global-symbols=${CMAKE_CURRENT_BINARY_DIR}/static-names.txt")

add_library(mullama-static STATIC "${object}")
add_dependencies(mullama-static mullama)  # both are made of the same joined objects: one after the other
add_library(mullama::mullama-static ALIAS mullama-static)
# C: a program in C alone can link it; the C++ runtime is named instead of implied.
set_target_properties(mullama-static PROPERTIES OUTPUT_NAME mullama LINKER_LANGUAGE C)
target_include_directories(mullama-static INTERFACE
  $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(mullama-static INTERFACE stdc++ m -pthread ${CMAKE_DL_LIBS})

install(TARGETS mullama-static EXPORT mullama-targets COMPONENT mullama ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
configure_file(cmake/mullama-static.pc.in mullama-static.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/mullama-static.pc COMPONENT mullama
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
