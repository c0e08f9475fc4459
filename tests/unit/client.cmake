# SPDX-License-Identifier: Apache-2.0
outpost_unit_test(synthea_csv outpost_synthea)

# A device on a real SQLite file, and a server to sync it with.
add_library(device_fixture STATIC unit/device_fixture.c unit/mini_server.c)
target_include_directories(device_fixture PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/unit)
target_link_libraries(device_fixture PRIVATE outpost_flags PUBLIC outpost_client PkgConfig::CUNIT)

outpost_unit_test(apply device_fixture)
outpost_unit_test(apply_family device_fixture)
outpost_unit_test(resend device_fixture)
outpost_unit_test(applied device_fixture)
outpost_unit_test(feed device_fixture)
outpost_unit_test(device_history device_fixture)
outpost_unit_test(schema device_fixture)
target_sources(schema_test PRIVATE unit/older_schema.c)
outpost_unit_test(pace outpost_client)
outpost_unit_test(session device_fixture)
outpost_unit_test(verify device_fixture)

outpost_unit_test(outpost_command device_fixture)
add_dependencies(outpost_command_test outpost)
target_compile_definitions(outpost_command_test PRIVATE
  OUTPOST_PROGRAM="$<TARGET_FILE:outpost>"
  SYNTHEA_SAMPLE="${PROJECT_SOURCE_DIR}/tests/data/synthea")
