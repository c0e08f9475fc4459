# SPDX-License-Identifier: Apache-2.0
outpost_unit_test(merge outpost_server)
outpost_unit_test(scope outpost_server)
outpost_unit_test(settings outpost_server)
outpost_unit_test(cursor outpost_server)
outpost_unit_test(standing outpost_server)

# A real store, and records for it.
add_library(store_fixture STATIC unit/store_fixture.c)
target_include_directories(store_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/unit)
target_link_libraries(store_fixture PRIVATE outpost_flags PUBLIC outpost_server PkgConfig::CUNIT)

outpost_unit_test(store store_fixture)
outpost_unit_test(snapshot store_fixture)
