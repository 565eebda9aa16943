#include "CCkptTrainingKernels.h"
#include "InstructionSets.h"
#include "finish.h"

#include <stddef.h>

/// How deep packed panels are, how many pixels a block of outputs and one of gradients has.
enum { DEPTH = 256, PIXELS = 384, GRADIENT_PIXELS = 2048 };

/// So many pixels that the gradients of all outputs at them fit the second cache.
static int32_t gradient_pixels(int32_t outputs) {
  int32_t fit = (200 << 10) / (outputs > 0 ? outputs : 1) / 16 * 16;
  return fit > GRADIENT_PIXELS ? GRADIENT_PIXELS : fit < 128 ? 128 : fit;
}

#define KERNEL_AVX512 1
#define KERNEL_BODY "convolution_body.h"
#include "ForEachInstructionSet.h"

int32_t ct_panel_rows(void) {
  static const int32_t rows[] = {4, 6, 8};
  return rows[instruction_set()];
}

int64_t ct_packed_count(int32_t rows, int32_t columns) {
  int32_t panel = ct_panel_rows();
  return (int64_t)((rows + panel - 1) / panel) * panel * columns;
}

void ct_pack_turned(
    const float *weights, int32_t outputs, int32_t channels, int32_t field, int32_t first,
    int32_t last, float *packed) {
  DISPATCH(pack_turned(weights, outputs, channels, field, first, last, packed));
}

int64_t ct_scratch_count(const ct_convolution *c) {
  int64_t forward = (int64_t)DEPTH * (PIXELS + 64);
  int64_t gradient = (int64_t)(c->outputs + 16) * gradient_pixels(c->outputs);
  return forward > gradient ? forward : gradient;
}

void ct_convolve(
    const ct_convolution *c, const float *images, const float *weights, int32_t is_packed,
    const ct_finish *finish, float *output, int64_t first, int64_t last, int32_t first_panel,
    int32_t last_panel, float *scratch) {
  DISPATCH(convolve(
      c, images, weights, is_packed, finish, output, first, last, first_panel, last_panel,
      scratch));
}

void ct_weight_gradient(
    const ct_convolution *c, const float *images, const float *gradient, float *weights,
    int64_t pixels, int32_t first_column, int32_t last_column, float *scratch) {
  DISPATCH(weight_gradient(
      c, images, gradient, weights, pixels, first_column, last_column, scratch));
}

void ct_depthwise(
    const ct_convolution *c, const float *image, const float *weights, float bias,
    float *output) {
  DISPATCH(depthwise(c, image, weights, bias, output));
}

void ct_depthwise_gradient(
    const ct_convolution *c, const float *image, const float *gradient, float *weights) {
  DISPATCH(depthwise_gradient(c, image, gradient, weights));
}
