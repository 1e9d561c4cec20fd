# Tests of cachefs/.
