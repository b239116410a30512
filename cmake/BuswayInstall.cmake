# `cmake --install`: the programs, one shared library with the public headers, a CMake package, a pkg-config file.
#
# A shared library, because a static one would hand its own needs (codecs, shared memory) on to whoever links it.
# The programs do not need it: they are linked with the rooms themselves.
include(CMakePackageConfigHelpers)

set(busway_map "${CMAKE_SOURCE_DIR}/cmake/busway.map")
add_library(busway_shared SHARED $<TARGET_OBJECTS:busway_client>)
target_link_libraries(busway_shared PRIVATE busway_client)
target_link_options(busway_shared PRIVATE "LINKER:--version-script=${busway_map}")
set_target_properties(busway_shared PROPERTIES
  OUTPUT_NAME busway EXPORT_NAME busway LINKER_LANGUAGE CXX LINK_DEPENDS "${busway_map}"
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
if(BUSWAY_SANITIZE)
  target_link_options(busway_shared PRIVATE -fsanitize=${BUSWAY_SANITIZE})
else()
  target_link_options(busway_shared PRIVATE "LINKER:--no-undefined")  # sanitizers leave theirs to the program
endif()
target_compile_features(busway_shared INTERFACE cxx_std_20)
target_include_directories(busway_shared INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

set(busway_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/busway")
install(TARGETS busway buswayd RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(TARGETS busway_shared EXPORT busway-targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/bus/include/busway" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.hpp")
install(EXPORT busway-targets NAMESPACE busway:: DESTINATION "${busway_cmake_dir}")
configure_package_config_file("${CMAKE_SOURCE_DIR}/cmake/busway-config.cmake.in"
  "${CMAKE_BINARY_DIR}/busway-config.cmake" INSTALL_DESTINATION "${busway_cmake_dir}")
# Before 1.0 a minor version may change the API.
write_basic_package_version_file("${CMAKE_BINARY_DIR}/busway-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/busway-config.cmake" "${CMAKE_BINARY_DIR}/busway-config-version.cmake"
  DESTINATION "${busway_cmake_dir}")

set(busway_pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH BUSWAY_PC_TO_PREFIX "/prefix/${busway_pc_dir}" "/prefix")
configure_file("${CMAKE_SOURCE_DIR}/cmake/busway.pc.in" "${CMAKE_BINARY_DIR}/busway.pc" @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/busway.pc" DESTINATION "${busway_pc_dir}")

if(EXISTS "${CMAKE_SOURCE_DIR}/systemd/busway.service")
  configure_file("${CMAKE_SOURCE_DIR}/systemd/busway.service" "${CMAKE_BINARY_DIR}/busway.service" @ONLY)
  install(FILES "${CMAKE_BINARY_DIR}/busway.service" DESTINATION lib/systemd/system)
endif()
if(EXISTS "${CMAKE_SOURCE_DIR}/systemd/busway.sysusers")
  install(FILES "${CMAKE_SOURCE_DIR}/systemd/busway.sysusers" DESTINATION lib/sysusers.d RENAME busway.conf)
endif()
