# Tests of synth/.
feedrate_test(unit/test_content synth PkgConfig::TURBOJPEG)
feedrate_test(unit/test_generate synth)
feedrate_test(unit/test_remote_http synthremote m)
feedrate_fuzz(http synthremote)
feedrate_fuzz(listing synthremote)
feedrate_fuzz(journal synth)
feedrate_script(system/synth_data.py TIMEOUT 420)
feedrate_script(system/synth_remote.py)

# By hand: tests/bench/remote.sh
add_executable(bench_range_load bench/range_load.c)
target_link_libraries(bench_range_load PRIVATE common)
set_target_properties(bench_range_load PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
