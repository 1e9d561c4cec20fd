# Tests of what all areas share: installation, build options, scripts.
feedrate_script(system/bootstrap.sh)
feedrate_script(system/size_limits.sh)
feedrate_script(system/install.sh)
feedrate_script(system/without_fuse.sh TIMEOUT 300)
