#include "CTrainingKernels.h"
#include "dispatch.h"
#include "transpose.h"

/// How many pixels are summed at a time.
enum { PIXELS = 256 };

#define NAME(x) plain_##x
#define VL 4
#define GR 4
#include "lanes_body.h"
#include "pointwise_body.h"
#include "lanes_end.h"
#undef NAME
#undef VL
#undef GR

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define NAME(x) avx2_##x
#define VL 8
#define GR 4
#include "lanes_body.h"
#include "pointwise_body.h"
#include "lanes_end.h"
#undef NAME
#undef VL
#undef GR
#pragma clang attribute pop

#pragma clang attribute push(                                                           \
    __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))), apply_to = function)
#define NAME(x) avx512_##x
#define VL 16
#define GR 8
#include "lanes_body.h"
#include "pointwise_body.h"
#include "lanes_end.h"
#undef NAME
#undef VL
#undef GR
#pragma clang attribute pop
#endif

int64_t ct_pointwise_scratch_count(int32_t channels) {
  int64_t lanes = ct_channel_lanes();
  return ((channels + lanes - 1) / lanes + 1) * lanes * PIXELS;
}

void ct_pointwise_gradient(
    const ct_pointwise *c, const float *images, const float *gradient, float *weights,
    int32_t first_panel, int32_t last_panel, float *scratch) {
  CHOOSE(pointwise_gradient(c, images, gradient, weights, first_panel, last_panel, scratch));
}
