# Tests of cachefs/.
add_library(null_origin STATIC null_origin.c)
target_link_libraries(null_origin PUBLIC cachestore)
feedrate_test(model/test_stack null_origin)
feedrate_test(contract/test_policies cachestore)
add_library(http_server STATIC http_server.c null_http.c)
target_link_libraries(http_server PUBLIC null_origin)
feedrate_test(contract/test_stores http_server)
feedrate_test(unit/test_space cachestore)
feedrate_test(unit/test_flight null_origin)
feedrate_test(unit/test_dir null_origin)
feedrate_test(unit/test_meta null_origin)
feedrate_test(unit/test_disk null_origin)
feedrate_fuzz(index cachestore)
feedrate_test(unit/test_inode cachemount)
feedrate_test(unit/test_options cachemount)
feedrate_test(unit/test_control cachemount)
feedrate_fuzz(control cachemount)

if(TARGET PkgConfig::CMOCKA)
    add_library(bad_origin STATIC bad_origin.c)
    target_link_libraries(bad_origin PUBLIC http_server PkgConfig::CMOCKA)
endif()
feedrate_test(unit/test_http_fields cachestore)
feedrate_fuzz(http_fields cachestore)
feedrate_fuzz(s3_list cachestore)
feedrate_fuzz(autoindex cachestore)
feedrate_test(unit/test_http bad_origin)
feedrate_test(unit/test_http_list bad_origin)

# For system tests and by hand.
add_executable(origin_read origin_read.c)
target_link_libraries(origin_read PRIVATE cachestore)
set_target_properties(origin_read PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

# By hand: bench_stack_rate [FOLDER]
add_executable(bench_stack_rate bench/stack_rate.c)
target_link_libraries(bench_stack_rate PRIVATE null_origin)
set_target_properties(bench_stack_rate PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

# Mounts for real, in namespaces of their own.
feedrate_script(system/mount_answers.sh)
feedrate_script(system/mount_life.sh)
feedrate_script(system/mount_model.sh)
