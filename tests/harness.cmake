# Tests of harness/.
add_library(harness_data STATIC harness_data.c)
target_link_libraries(harness_data PUBLIC harness)
feedrate_test(unit/test_pacer harness)
feedrate_test(unit/test_harness_run harness_data)
add_executable(bench_harness_cpu bench/harness_cpu.c)
target_link_libraries(bench_harness_cpu PRIVATE harness_data)
set_target_properties(bench_harness_cpu PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
