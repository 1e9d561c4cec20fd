# Tests of cachefs/.
add_library(null_origin STATIC null_origin.c)
target_link_libraries(null_origin PUBLIC cachestore)
feedrate_test(model/test_stack null_origin)
feedrate_test(unit/test_flight null_origin)
feedrate_test(unit/test_inode cachemount)
feedrate_test(unit/test_options cachemount)
feedrate_test(unit/test_control cachemount)
feedrate_fuzz(control cachemount)
