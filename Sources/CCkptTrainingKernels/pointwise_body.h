// The loops of pointwise.c for one instruction set (see InstructionSets.h). Sizes fit the number of registers:
//   VL   floats in a vector
//   GR   rows of a tile of the weights' gradients
#if KERNEL_SET == 0
#define VL 4
#define GR 4
#elif KERNEL_SET == 1
#define VL 8
#define GR 4
#else
#define VL 16
#define GR 8
#endif

#include "lanes_body.h"

/// Pixels of some images, counted over all of them, as vectors: [panel][pixel][NR channels], panels `length` pixels
/// apart.
static void VARIANT(pointwise_panels)(
    const ct_pointwise *c, const float *planes, int32_t channels, int32_t first_panel,
    int32_t last_panel, int64_t start, int32_t count, int64_t length, float *to) {
  for (int32_t panel = first_panel; panel < last_panel; panel++, to += length * NR) {
    for (int32_t half = 0; half < 2; half++) {
      int32_t channel = panel * NR + half * VL, lanes = channels - channel;
      lanes = lanes > VL ? VL : lanes < 0 ? 0 : lanes;
      for (int32_t done = 0, run; done < count; done += run) {
        int64_t image = (start + done) / c->area, pixel = (start + done) % c->area;
        run = count - done < c->area - pixel ? count - done : (int32_t)(c->area - pixel);
        // Two vectors a pixel: one is left out behind each.
        VARIANT(gather)(
            planes + (image * channels + channel) * c->area + pixel, c->area, lanes, run, 1, 1,
            to + (int64_t)done * NR + half * VL);
      }
    }
  }
}

static void VARIANT(pointwise_gradient)(
    const ct_pointwise *c, const float *images, const float *gradient, float *weights,
    int32_t first_panel, int32_t last_panel, float *scratch) {
  int32_t panels = (c->channels + NR - 1) / NR;
  int64_t pixels = (int64_t)c->batch * c->area;
  float *right = scratch;                                // [panel][pixel][NR channels]
  float *left = right + (int64_t)panels * PIXELS * NR;  // [pixel][NR outputs]
  for (int64_t start = 0; start < pixels; start += PIXELS) {
    int32_t count = pixels - start < PIXELS ? (int32_t)(pixels - start) : PIXELS;
    VARIANT(pointwise_panels)(c, images, c->channels, 0, panels, start, count, PIXELS, right);
    for (int32_t output = first_panel; output < last_panel; output++) {
      VARIANT(pointwise_panels)(
          c, gradient, c->outputs, output, output + 1, start, count, PIXELS, left);
      for (int32_t panel = 0; panel < panels; panel++) {
        for (int32_t row = 0; row < NR && output * NR + row < c->outputs; row += GR) {
          vec sum[GR][2];
#pragma clang loop unroll(full)
          for (int i = 0; i < GR; i++) sum[i][0] = sum[i][1] = (vec){0};
          const float *a = left + row, *b = right + (int64_t)panel * PIXELS * NR;
          for (int32_t p = 0; p < count; p++, a += NR, b += NR) {
            vec low = LOAD(b), high = LOAD(b + VL);
#pragma clang loop unroll(full)
            for (int i = 0; i < GR; i++) {
              float one = a[i];
              sum[i][0] += one * low;
              sum[i][1] += one * high;
            }
          }
          int32_t height = c->outputs - output * NR - row < GR ? c->outputs - output * NR - row : GR;
          int32_t width = c->channels - panel * NR < NR ? c->channels - panel * NR : NR;
          float *to = weights + (int64_t)(output * NR + row) * c->channels + panel * NR;
          for (int i = 0; i < height; i++, to += c->channels) {
            const float *sums = (const float *)sum[i];
            if (start == 0) {
              for (int32_t j = 0; j < width; j++) to[j] = sums[j];
            } else {
              for (int32_t j = 0; j < width; j++) to[j] += sums[j];
            }
          }
        }
      }
    }
  }
}

#include "lanes_end.h"
#undef VL
#undef GR
