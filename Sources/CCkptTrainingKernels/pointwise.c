#include "CCkptTrainingKernels.h"
#include "InstructionSets.h"
#include "transpose.h"

/// How many pixels are summed at a time.
enum { PIXELS = 256 };

#define KERNEL_AVX512 1
#define KERNEL_BODY "pointwise_body.h"
#include "ForEachInstructionSet.h"

int64_t ct_pointwise_scratch_count(int32_t channels) {
  int64_t lanes = ct_channel_lanes();
  return ((channels + lanes - 1) / lanes + 1) * lanes * PIXELS;
}

void ct_pointwise_gradient(
    const ct_pointwise *c, const float *images, const float *gradient, float *weights,
    int32_t first_panel, int32_t last_panel, float *scratch) {
  DISPATCH(pointwise_gradient(c, images, gradient, weights, first_panel, last_panel, scratch));
}
