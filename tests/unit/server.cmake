# SPDX-License-Identifier: Apache-2.0
outpost_unit_test(merge outpost_server)
outpost_unit_test(scope outpost_server)
outpost_unit_test(server_health outpost_server outpost_grpc_made)
outpost_unit_test(settings outpost_server)
outpost_unit_test(cursor outpost_server)
outpost_unit_test(standing outpost_server)
outpost_unit_test(rollout outpost_server)

# A real store, and records for it; the same suites on both engines.
add_library(store_fixture STATIC unit/made_records.c unit/store_fixture.c unit/test_store.c)
target_include_directories(store_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/unit)
target_link_libraries(store_fixture PRIVATE outpost_flags PUBLIC outpost_server PkgConfig::CUNIT)

foreach(module store snapshot)
  outpost_unit_test(${module} store_fixture)
  add_test(NAME unit_${module}_postgresql
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/postgresql/with_cluster $<TARGET_FILE:${module}_test>)
  set_tests_properties(unit_${module}_postgresql PROPERTIES
    TIMEOUT 300 LABELS "unit;postgresql")
endforeach()
# A history begins with a new schema, which takes its time to become durable.
set_tests_properties(unit_snapshot_postgresql PROPERTIES ENVIRONMENT "OUTPOST_TEST_SEEDS=8")
