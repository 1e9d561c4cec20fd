# Tests of synth/.
