# Functions that every room, test and benchmark is declared with.
find_program(BUSWAY_CCACHE ccache)
if(BUSWAY_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${BUSWAY_CCACHE}")
endif()

add_library(busway_options INTERFACE)
target_compile_options(busway_options INTERFACE
  # Our functions are not replaced from outside the library, so they may be inlined within it.
  -fno-semantic-interposition
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-qual -Wformat=2 -Werror -fno-strict-aliasing)
target_include_directories(busway_options INTERFACE
  "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>" "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/bus/include>")
if(BUSWAY_SANITIZE)
  target_compile_options(busway_options INTERFACE
    -fsanitize=${BUSWAY_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(busway_options INTERFACE -fsanitize=${BUSWAY_SANITIZE})
  if(BUSWAY_SANITIZE MATCHES "thread")
    # GCC 12's thread sanitizer knows no fences; bus/ring/atomics.hpp makes them read-modify-writes instead.
    target_compile_options(busway_options INTERFACE -Wno-tsan)
  endif()
endif()

# busway_room(NAME SOURCES ... [DEPENDS ...]): one static library per room, named busway_NAME.
# A room of headers alone has no SOURCES.
function(busway_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;DEPENDS" ${ARGN})
  if(ROOM_SOURCES)
    add_library(busway_${name} STATIC ${ROOM_SOURCES})
    target_link_libraries(busway_${name} PRIVATE $<BUILD_INTERFACE:busway_options> PUBLIC ${ROOM_DEPENDS})
    target_include_directories(busway_${name} PUBLIC
      "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>" "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/bus/include>")
  else()
    add_library(busway_${name} INTERFACE)
    target_link_libraries(busway_${name} INTERFACE ${ROOM_DEPENDS})
  endif()
endfunction()

# Tests of a sanitizer's build have its name behind theirs, so that one CTest run over all builds tells them apart, and
# more time.
set(BUSWAY_TEST_SUFFIX "")
set(BUSWAY_TEST_PATIENCE 1)
if(BUSWAY_SANITIZE)
  string(REPLACE "address,undefined" "@asan-ubsan" BUSWAY_TEST_SUFFIX "${BUSWAY_SANITIZE}")
  string(REPLACE "thread" "@tsan" BUSWAY_TEST_SUFFIX "${BUSWAY_TEST_SUFFIX}")
  set(BUSWAY_TEST_PATIENCE 5)
endif()

# busway_test(NAME SOURCES ... [DEPENDS ...] [LABELS ...] [TIMEOUT seconds]): a GoogleTest program run by CTest.
# The label `quick` marks what `scripts/test --quick` runs. The time is that of a build without sanitizers.
function(busway_test name)
  cmake_parse_arguments(TEST "" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_link_libraries(${name} PRIVATE busway_options ${TEST_DEPENDS} GTest::gtest_main)
  if(NOT TEST_TIMEOUT)
    set(TEST_TIMEOUT 120)
  endif()
  math(EXPR TEST_TIMEOUT "${TEST_TIMEOUT} * ${BUSWAY_TEST_PATIENCE}")
  set(test "${name}${BUSWAY_TEST_SUFFIX}")
  add_test(NAME "${test}" COMMAND ${name})
  set_tests_properties("${test}" PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT ${TEST_TIMEOUT})
endfunction()

# busway_program(NAME SOURCES ... [DEPENDS ...])
function(busway_program name)
  cmake_parse_arguments(PROGRAM "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${PROGRAM_SOURCES})
  target_link_libraries(${name} PRIVATE busway_options ${PROGRAM_DEPENDS})
endfunction()
