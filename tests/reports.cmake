# Tests of reports/.
add_executable(report_make golden/report_make.c)
target_link_libraries(report_make PRIVATE reports)
set_target_properties(report_make PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
feedrate_script(golden/report.py)
feedrate_script(system/report_chromium.py)
