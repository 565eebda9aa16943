#include "CCkptTrainingKernels.h"
#include "InstructionSets.h"

#define KERNEL_AVX512 1
#define KERNEL_BODY "vectors_body.h"
#include "ForEachInstructionSet.h"

double ct_sum(const float *x, int64_t n) { return DISPATCH(sum(x, n)); }

double ct_squared_distance(const float *x, int64_t n, float center) {
  return DISPATCH(squared_distance(x, n, center));
}

void ct_sum_and_product(
    const float *g, const float *x, int64_t n, float center, double result[2]) {
  DISPATCH(sum_and_product(g, x, n, center, result));
}

void ct_relu_sums(
    const float *g, const float *output, const float *x, float *passed, int64_t n, float center,
    double result[2]) {
  DISPATCH(relu_sums(g, output, x, passed, n, center, result));
}

void ct_scale(
    const float *x, const float *addend, float *y, int64_t n, float center, float factor,
    float shift, int32_t relu) {
  DISPATCH(scale(x, addend, y, n, center, factor, shift, relu));
}

void ct_scale_gradient(
    const float *g, const float *x, float *y, int64_t n, float average, float center, float pull,
    float factor) {
  DISPATCH(scale_gradient(g, x, y, n, average, center, pull, factor));
}

void ct_add(const float *a, const float *b, float *y, int64_t n) { DISPATCH(add(a, b, y, n)); }
void ct_relu(const float *x, float *y, int64_t n) { DISPATCH(relu(x, y, n)); }
void ct_relu_gradient(const float *g, const float *output, float *y, int64_t n) {
  DISPATCH(relu_gradient(g, output, y, n));
}
void ct_gelu(const float *x, float *y, int64_t n) { DISPATCH(gelu(x, y, n)); }
void ct_gelu_gradient(const float *g, const float *x, float *y, int64_t n) {
  DISPATCH(gelu_gradient(g, x, y, n));
}
void ct_gelu_tanh(const float *x, float *y, int64_t n) { DISPATCH(gelu_tanh(x, y, n)); }
void ct_gelu_tanh_gradient(const float *g, const float *x, float *y, int64_t n) {
  DISPATCH(gelu_tanh_gradient(g, x, y, n));
}
void ct_silu(const float *x, float *y, int64_t n) { DISPATCH(silu(x, y, n)); }
void ct_silu_gradient(const float *g, const float *x, float *y, int64_t n) {
  DISPATCH(silu_gradient(g, x, y, n));
}
void ct_sgd(
    float *p, const float *g, float *momentum, int64_t n, float rate, float sign, float decay,
    float keep, float share, int32_t nesterov) {
  DISPATCH(sgd(p, g, momentum, n, rate, sign, decay, keep, share, nesterov));
}
void ct_lerp(float *y, const float *x, int64_t n, float weight) {
  DISPATCH(lerp(y, x, n, weight));
}
void ct_softmax(const float *x, float *y, int64_t n) { DISPATCH(softmax(x, y, n)); }
void ct_softmax_gradient(const float *g, const float *y, float *d, int64_t n) {
  DISPATCH(softmax_gradient(g, y, d, n));
}

void ct_max_row(
    const float *plane, int32_t width, int32_t first_line, int32_t last_line,
    const int32_t *first, const int32_t *last, int32_t count, int32_t stride, float *values,
    int32_t *indices) {
  DISPATCH(max_row(
      plane, width, first_line, last_line, first, last, count, stride, values, indices));
}
