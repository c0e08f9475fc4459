# SPDX-License-Identifier: Apache-2.0
#
# The generator, what it writes, and the record runtime under it.

# The test package test.v1, as ci/generate wrote it; its record types have the
# rules and kinds that the product's do not use yet.
set(golden ${CMAKE_CURRENT_SOURCE_DIR}/golden)
file(GLOB test_pb_sources CONFIGURE_DEPENDS ${golden}/test/v1/*.pb-c.c)
add_library(test_pb STATIC ${test_pb_sources})
target_include_directories(test_pb PUBLIC ${golden})
target_link_libraries(test_pb PUBLIC outpost_pb)
file(GLOB test_gen_sources CONFIGURE_DEPENDS ${golden}/test/v1/*.gen.c ${golden}/test/v1/*.rpc.c)
add_library(test_gen STATIC ${test_gen_sources})
target_link_libraries(test_gen PRIVATE outpost_flags PUBLIC test_pb outpost_gen)

outpost_unit_test(body outpost_gen)
outpost_unit_test(device_sql outpost_gen test_gen PkgConfig::SQLITE)
outpost_unit_test(envelope outpost_gen)
outpost_unit_test(hash outpost_gen)
outpost_unit_test(record outpost_gen test_gen)
outpost_unit_test(sound outpost_gen test_gen)
target_include_directories(sound_test PRIVATE ${PROJECT_SOURCE_DIR}/gen/stub)
outpost_unit_test(stub outpost_gen test_gen)
outpost_unit_test(stub_one_way outpost_gen test_gen)
outpost_unit_test(uuid outpost_gen)
outpost_unit_test(validate outpost_gen test_gen)
outpost_unit_test(wire outpost_gen)

# The generator's output: what is committed is what it writes, and clean.
add_test(NAME generated_is_current
  COMMAND ${golden}/is_current.sh $<TARGET_FILE:protoc-gen-outpost>)
add_test(NAME generated_is_formatted COMMAND ${golden}/is_formatted.sh)
add_test(NAME generator_errors
  COMMAND python3 ${golden}/errors.py $<TARGET_FILE:protoc-gen-outpost> ${PROJECT_SOURCE_DIR}/proto)
add_test(NAME device_sql_cli
  COMMAND python3 ${golden}/device_sql_cli.py $<TARGET_FILE:device_sql_test>)
add_test(NAME record_types_are_named_only_in_gen_and_proto
  COMMAND python3 ${PROJECT_SOURCE_DIR}/ci/check-names)
set_tests_properties(generated_is_current generated_is_formatted generator_errors device_sql_cli
  record_types_are_named_only_in_gen_and_proto PROPERTIES TIMEOUT 120 LABELS gen)
