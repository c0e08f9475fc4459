# SPDX-License-Identifier: Apache-2.0
outpost_unit_test(merge outpost_server)
outpost_unit_test(settings outpost_server)

# The same suite on both engines.
add_library(store_fixture STATIC unit/made_records.c unit/store_fixture.c)
target_include_directories(store_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/unit)
target_link_libraries(store_fixture PRIVATE outpost_flags PUBLIC outpost_server)
outpost_unit_test(store store_fixture)
add_test(NAME unit_store_postgresql
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/postgresql/with_cluster $<TARGET_FILE:store_test>)
set_tests_properties(unit_store_postgresql PROPERTIES TIMEOUT 300 LABELS "unit;postgresql")
