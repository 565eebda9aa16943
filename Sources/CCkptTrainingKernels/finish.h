#pragma once
#include "CCkptTrainingKernels.h"

/// Applies `f` to a sum of one output channel that is written at `offset`.
static inline float finished(const ct_finish *f, int32_t output, int64_t offset, float value) {
  if (f->scale) value *= f->scale[output];
  if (f->shift) value += f->shift[output];
  if (f->addend) value += f->addend[offset];
  return f->relu && value < 0 ? 0 : value;
}
