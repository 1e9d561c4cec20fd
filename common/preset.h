/* SPDX-License-Identifier: Apache-2.0 */
/* Named remotes: the knob remote.preset stands for the values that [remote.NAME] of remotes.ini
 * gives to other knobs of that section. */
#ifndef FEEDRATE_PRESET_H
#define FEEDRATE_PRESET_H

#include "common/knob.h"

/* Sets what the preset names and nobody else did: a value given by profile or option stays. Their
 * origin is then "preset:NAME". Without a preset nothing happens. Call it after profiles and
 * options were applied. */
int preset_apply(struct config *cfg, struct err *err);

#endif
