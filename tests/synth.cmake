# Tests of synth/.
feedrate_test(unit/test_content synth PkgConfig::TURBOJPEG)
feedrate_test(unit/test_generate synth)
feedrate_test(unit/test_remote_http synthremote m)
feedrate_fuzz(http synthremote)
feedrate_fuzz(journal synth)
feedrate_script(system/synth_data.py TIMEOUT 420)
feedrate_script(system/synth_remote.py)
