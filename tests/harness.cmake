# Tests of harness/.
