#pragma once
#include "CTrainingKernels.h"

/// What becomes of one sum of an output; `place` is where it goes.
static inline float finished(const ct_finish *f, int32_t output, int64_t place, float value) {
  if (f->scale) value *= f->scale[output];
  if (f->shift) value += f->shift[output];
  if (f->addend) value += f->addend[place];
  return f->relu && value < 0 ? 0 : value;
}
