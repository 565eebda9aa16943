// The loops of winograd.c for one instruction set (see InstructionSets.h). Sizes fit the number of registers:
//   VL   floats in a vector
//   MR   rows of a tile of outputs
//   GR   rows of a tile of the weights' gradients
#if KERNEL_SET == 0
#define VL 4
#define MR 4
#define GR 4
#elif KERNEL_SET == 1
#define VL 8
#define MR 6
#define GR 4
#else
#define VL 16
#define MR 8
#define GR 8
#endif

#include "lanes_body.h"

/// Takes vectors of a pixel's channels to the planes of outputs, the first of which goes to `offset`.
static void VARIANT(scatter)(
    const float *from, int32_t count, const ct_finish *finishing, int32_t channel, int32_t lanes,
    float *output, int64_t offset, int64_t plane) {
  ct_finish finish = *finishing;
  int32_t p = 0;
#if VL >= 8
  if (lanes == VL) {
    for (; p + 8 <= count; p += 8) {
      for (int h = 0; h < VL / 8; h++) {
        float part[64];
        transpose(from + p * VL + h * 8, VL, part);
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i++) {
          int64_t to = offset + (h * 8 + i) * plane + p;
          eight value = *(const any_eight *)(part + i * 8);
          if (finish.scale) value *= finish.scale[channel + h * 8 + i];
          if (finish.shift) value += finish.shift[channel + h * 8 + i];
          if (finish.addend) value += *(const any_eight *)(finish.addend + to);
          if (finish.relu) value = (eight)((eight_masks)value & ~(value < 0.0f));
          *(any_eight *)(output + to) = value;
        }
      }
    }
  }
#endif
  for (; p < count; p++) {
    for (int l = 0; l < lanes; l++) {
      int64_t to = offset + l * plane + p;
      output[to] = finished(&finish, channel + l, to, from[p * VL + l]);
    }
  }
}

#include "winograd_transforms.h"

/// Transforms the kernels from some panels of channels to a panel of outputs:
/// [point][channel][NR outputs], points `step` floats apart.
static void VARIANT(winograd_kernels)(
    const ct_winograd *w, const float *weights, int32_t turned, int32_t panel, int32_t first,
    int32_t last, float *to, int64_t step) {
  int64_t output_step = turned ? 9 : (int64_t)w->channels * 9;
  int64_t channel_step = turned ? (int64_t)w->outputs * 9 : 9;
  for (int32_t c = first * NR; c < last * NR; c++) {
    for (int32_t half = 0; half < 2; half++) {
      int32_t output = panel * NR + half * VL;
      const float *from = weights + output * output_step + c * channel_step;
      int32_t lanes = c < w->channels ? w->outputs - output : 0;
      vec taps[9];
      if (lanes >= VL) {
        VARIANT(columns)(from, output_step, taps);
        for (int l = 0; l < VL; l++) taps[8][l] = from[l * output_step + 8];
      } else {
        for (int i = 0; i < 9; i++)
          for (int l = 0; l < VL; l++) taps[i][l] = l < lanes ? from[l * output_step + i] : 0;
      }
      vec rows[6][3];
      for (int x = 0; x < 3; x++) {
        vec g[3], u[6];
        for (int y = 0; y < 3; y++) {
          g[y] = turned ? taps[8 - (y * 3 + x)] : taps[y * 3 + x];
        }
        VARIANT(kernel_points)(g, u);
        for (int i = 0; i < 6; i++) rows[i][x] = u[i];
      }
      float *offset = to + (int64_t)(c - first * NR) * NR + half * VL;
      for (int i = 0; i < 6; i++) {
        vec u[6];
        VARIANT(kernel_points)(rows[i], u);
        for (int j = 0; j < 6; j++) STORE(offset + (i * 6 + j) * step, u[j]);
      }
    }
  }
}

/// How many rows of tiles are laid out at a time: they are of one image and stay in the nearest caches.
static inline int32_t VARIANT(run)(int32_t row, int32_t last, int32_t rows, int32_t width) {
  int32_t run = last - row, rest = rows - row % rows;
  if (run > rest) run = rest;
  int32_t most = STRIP / (STEP * width * VL);
  return run < most ? run : most > 1 ? most : 1;
}

/// Transforms the images' tiles in some rows of tiles: [point][panel][tile][NR channels], panels `length`
/// tiles apart.
static void VARIANT(winograd_images)(
    const ct_winograd *w, const float *images, int32_t first, int32_t last, int64_t length,
    float *to, float *scratch) {
  int32_t rows = tile_count(w->output_height), tiles = tile_count(w->output_width);
  int32_t width = STEP * tiles + 2, panels = (w->channels + NR - 1) / NR;
  int64_t plane = (int64_t)w->height * w->width, step = (panels * length + 1) * NR;
  float *half_done = scratch;  // [SIDE][width]
  float *strip = scratch + SIDE * width * VL;
  for (int32_t block = 0; block < 2 * panels; block++) {
    int32_t lanes = w->channels - block * VL;
    lanes = lanes > VL ? VL : lanes < 0 ? 0 : lanes;
    float *tile = to + block / 2 * length * NR + block % 2 * VL;
    for (int32_t row = first, run; row < last; row += run) {
      run = VARIANT(run)(row, last, rows, width);
      int32_t image = row / rows, top = row % rows * STEP - w->padding_y;
      int32_t height = STEP * run + 2;
      int32_t y0 = top < 0 ? 0 : top, y1 = top + height < w->height ? top + height : w->height;
      __builtin_memset(strip, 0, sizeof(float) * VL * width * height);
      if (y1 > y0)
        VARIANT(gather)(
            images + ((int64_t)image * w->channels + block * VL) * plane + y0 * w->width, plane,
            lanes, (y1 - y0) * w->width, w->width, width - w->width,
            strip + ((y0 - top) * width + w->padding_x) * VL);
      for (int32_t r = 0; r < run; r++) {
        for (int32_t x = 0; x < width; x++) {
          vec d[6], v[6];
          for (int i = 0; i < 6; i++) d[i] = LOAD(strip + ((r * STEP + i) * width + x) * VL);
          VARIANT(image_points)(d, v);
          for (int i = 0; i < 6; i++) STORE(half_done + (i * width + x) * VL, v[i]);
        }
        for (int32_t t = 0; t < tiles; t++) {
          for (int i = 0; i < 6; i++) {
            vec d[6], v[6];
            for (int j = 0; j < 6; j++) d[j] = LOAD(half_done + (i * width + t * STEP + j) * VL);
            VARIANT(image_points)(d, v);
            for (int j = 0; j < 6; j++) STORE(tile + (i * 6 + j) * step, v[j]);
          }
          tile += NR;
        }
      }
    }
  }
}

/// The same of the outputs' gradients.
static void VARIANT(winograd_slopes)(
    const ct_winograd *w, const float *gradient, int32_t first, int32_t last, int64_t length,
    float *to, float *scratch) {
  int32_t rows = tile_count(w->output_height), tiles = tile_count(w->output_width);
  int32_t width = STEP * tiles, panels = (w->outputs + NR - 1) / NR;
  int64_t plane = (int64_t)w->output_height * w->output_width;
  int64_t step = (panels * length + 1) * NR;
  for (int32_t block = 0; block < 2 * panels; block++) {
    int32_t lanes = w->outputs - block * VL;
    lanes = lanes > VL ? VL : lanes < 0 ? 0 : lanes;
    float *tile = to + block / 2 * length * NR + block % 2 * VL;
    for (int32_t row = first, run; row < last; row += run) {
      run = VARIANT(run)(row, last, rows, width);
      int32_t image = row / rows, top = row % rows * STEP, height = STEP * run;
      int32_t inside = w->output_height - top < height ? w->output_height - top : height;
      if (inside < height || width > w->output_width)
        __builtin_memset(scratch, 0, sizeof(float) * VL * width * height);
      VARIANT(gather)(
          gradient + ((int64_t)image * w->outputs + block * VL) * plane + top * w->output_width,
          plane, lanes, inside * w->output_width, w->output_width, width - w->output_width, scratch);
      for (int32_t r = 0; r < run; r++) {
        for (int32_t t = 0; t < tiles; t++) {
          vec half_done[6][4];
          for (int x = 0; x < 4; x++) {
            vec d[4], v[6];
            for (int i = 0; i < 4; i++)
              d[i] = LOAD(scratch + ((r * STEP + i) * width + t * STEP + x) * VL);
            VARIANT(slope_points)(d, v);
            for (int i = 0; i < 6; i++) half_done[i][x] = v[i];
          }
          for (int i = 0; i < 6; i++) {
            vec v[6];
            VARIANT(slope_points)(half_done[i], v);
            for (int j = 0; j < 6; j++) STORE(tile + (i * 6 + j) * step, v[j]);
          }
          tile += NR;
        }
      }
    }
  }
}

/// Transforms products back: the outputs of a panel in some rows of tiles.
static void VARIANT(winograd_outputs)(
    const ct_winograd *w, const float *products, int64_t step, int32_t panel, int32_t first,
    int32_t last, const ct_finish *finish, float *output, float *scratch) {
  int32_t rows = tile_count(w->output_height), tiles = tile_count(w->output_width);
  int32_t width = w->output_width;
  int64_t plane = (int64_t)w->output_height * width;
  for (int32_t half = 0; half < 2; half++) {
    int32_t channel = panel * NR + half * VL, lanes = w->outputs - channel;
    if (lanes <= 0) break;
    if (lanes > VL) lanes = VL;
    const float *tile = products + half * VL;
    for (int32_t row = first, run; row < last; row += run) {
      run = VARIANT(run)(row, last, rows, STEP * tiles);
      int32_t image = row / rows, top = row % rows * STEP;
      int32_t height = w->output_height - top < STEP * run ? w->output_height - top : STEP * run;
      for (int32_t r = 0; r < run; r++) {
        int32_t down = height - r * STEP < STEP ? height - r * STEP : STEP;
        for (int32_t t = 0; t < tiles; t++) {
          vec half_done[4][6];
          for (int j = 0; j < 6; j++) {
            vec m[6], y[4];
            for (int i = 0; i < 6; i++) m[i] = LOAD(tile + (i * 6 + j) * step);
            VARIANT(outputs_of)(m, y);
            for (int i = 0; i < 4; i++) half_done[i][j] = y[i];
          }
          float *to = scratch + ((int64_t)r * STEP * width + t * STEP) * VL;
          int32_t right = width - t * STEP < STEP ? width - t * STEP : STEP;
          if (down == STEP && right == STEP) {
            for (int i = 0; i < 4; i++) {
              vec y[4];
              VARIANT(outputs_of)(half_done[i], y);
              for (int j = 0; j < 4; j++) STORE(to + (i * width + j) * VL, y[j]);
            }
          } else {
            for (int i = 0; i < down; i++) {
              vec y[4];
              VARIANT(outputs_of)(half_done[i], y);
              for (int j = 0; j < right; j++) STORE(to + (i * width + j) * VL, y[j]);
            }
          }
          tile += NR;
        }
      }
      VARIANT(scatter)(
          scratch, height * width, finish, channel, lanes, output,
          ((int64_t)image * w->outputs + channel) * plane + (int64_t)top * width, plane);
    }
  }
}

/// The products of a block of tiles with a panel of kernels, at every point; added to what is there unless
/// the panels of channels begin with the first.
static void VARIANT(winograd_products)(
    int32_t tiles, int32_t first, int32_t last, const float *images, int64_t step, int64_t length,
    const float *kernels, int64_t kernel_step, float *products, int64_t product_step) {
  for (int32_t point = 0; point < POINTS; point++) {
    for (int32_t t = 0; t < tiles; t += MR) {
      vec sum[MR][2];
      float *to = products + point * product_step + t * NR;
#pragma clang loop unroll(full)
      for (int i = 0; i < MR; i++) {
        sum[i][0] = first == 0 ? (vec){0} : LOAD(to + i * NR);
        sum[i][1] = first == 0 ? (vec){0} : LOAD(to + i * NR + VL);
      }
      const float *b = kernels + point * kernel_step;
      for (int32_t panel = first; panel < last; panel++) {
        const float *a = images + point * step + (panel * length + t) * NR;
        for (int32_t k = 0; k < NR; k++) {
          vec right[2] = {LOAD(b), LOAD(b + VL)};
#pragma clang loop unroll(full)
          for (int i = 0; i < MR; i++) {
            float left = a[i * NR + k];
            sum[i][0] += left * right[0];
            sum[i][1] += left * right[1];
          }
          b += NR;
        }
      }
#pragma clang loop unroll(full)
      for (int i = 0; i < MR; i++) {
        STORE(to + i * NR, sum[i][0]);
        STORE(to + i * NR + VL, sum[i][1]);
      }
    }
  }
}

static void VARIANT(winograd_convolve)(
    const ct_winograd *w, const float *images, const float *weights, int32_t turned,
    const float *packed, const ct_finish *finish, float *output, int32_t first, int32_t last,
    int32_t first_panel, int32_t last_panel, int32_t block, float *scratch) {
  int32_t tiles = tile_count(w->output_width), panels = (w->channels + NR - 1) / NR;
  int64_t length = ((int64_t)block * tiles + MR - 1) / MR * MR;
  int64_t step = (panels * length + 1) * NR, product_step = (length + 1) * NR;
  int64_t packed_step = ((int64_t)panels * NR + 1) * NR, own_step = (NR + 1) * NR;
  float *transformed = scratch;
  float *products = transformed + POINTS * step;
  float *own = products + POINTS * product_step;
  float *rest = own + POINTS * own_step;
  for (int32_t row = first; row < last; row += block) {
    int32_t end = last - row < block ? last : row + block, count = (end - row) * tiles;
    VARIANT(winograd_images)(w, images, row, end, length, transformed, rest);
    for (int32_t panel = first_panel; panel < last_panel; panel++) {
      if (packed) {
        VARIANT(winograd_products)(
            count, 0, panels, transformed, step, length, packed + panel * POINTS * packed_step,
            packed_step, products, product_step);
      } else {
        for (int32_t c = 0; c < panels; c++) {
          VARIANT(winograd_kernels)(w, weights, turned, panel, c, c + 1, own, own_step);
          VARIANT(winograd_products)(
              count, c, c + 1, transformed, step, length, own, own_step, products, product_step);
        }
      }
      VARIANT(winograd_outputs)(w, products, product_step, panel, row, end, finish, output, rest);
    }
  }
}

/// The gradients that tiles give the kernels from a panel of channels to a panel of outputs, added to what is
/// there if `adds`.
static void VARIANT(winograd_gradient)(
    const ct_winograd *w, const float *images, const float *slopes, int32_t tiles, int64_t length,
    int32_t image_panel, int32_t slope_panel, int32_t adds, float *weights, float *scratch) {
  int64_t image_step = ((w->channels + NR - 1) / NR * length + 1) * NR;
  int64_t slope_step = ((w->outputs + NR - 1) / NR * length + 1) * NR;
  for (int32_t point = 0; point < POINTS; point++) {
    const float *left = slopes + point * slope_step + slope_panel * length * NR;
    const float *right = images + point * image_step + image_panel * length * NR;
    for (int32_t row = 0; row < NR; row += GR) {
      vec sum[GR][2];
#pragma clang loop unroll(full)
      for (int i = 0; i < GR; i++) sum[i][0] = sum[i][1] = (vec){0};
      const float *a = left + row, *b = right;
      for (int32_t t = 0; t < tiles; t++) {
        vec low = LOAD(b), high = LOAD(b + VL);
#pragma clang loop unroll(full)
        for (int i = 0; i < GR; i++) {
          float one = a[i];
          sum[i][0] += one * low;
          sum[i][1] += one * high;
        }
        a += NR;
        b += NR;
      }
      float *to = scratch + (point * NR + row) * NR;
#pragma clang loop unroll(full)
      for (int i = 0; i < GR; i++) {
        STORE(to + i * NR, sum[i][0]);
        STORE(to + i * NR + VL, sum[i][1]);
      }
    }
  }
  for (int32_t row = 0; row < NR; row++) {
    int32_t output = slope_panel * NR + row;
    if (output >= w->outputs) break;
    for (int32_t half = 0; half < 2; half++) {
      int32_t channel = image_panel * NR + half * VL, lanes = w->channels - channel;
      if (lanes <= 0) break;
      vec half_done[3][6];
      for (int j = 0; j < 6; j++) {
        vec u[6], g[3];
        for (int i = 0; i < 6; i++)
          u[i] = LOAD(scratch + ((i * 6 + j) * NR + row) * NR + half * VL);
        VARIANT(kernel_slopes)(u, g);
        for (int i = 0; i < 3; i++) half_done[i][j] = g[i];
      }
      float taps[9][VL];
      for (int i = 0; i < 3; i++) {
        vec g[3];
        VARIANT(kernel_slopes)(half_done[i], g);
        for (int j = 0; j < 3; j++) STORE(taps[i * 3 + j], g[j]);
      }
      float *to = weights + ((int64_t)output * w->channels + channel) * 9;
      int32_t done = 0;
#if VL >= 8
      for (; done + 8 <= lanes && done < VL; done += 8) {
        float part[64];
        transpose(taps[0] + done, VL, part);
        for (int i = 0; i < 8; i++, to += 9) {
          eight old = adds ? *(const any_eight *)to : (eight){0};
          *(any_eight *)to = old + *(const any_eight *)(part + i * 8);
          to[8] = (adds ? to[8] : 0) + taps[8][done + i];
        }
      }
#endif
      for (; done < lanes && done < VL; done++, to += 9)
        for (int i = 0; i < 9; i++) to[i] = (adds ? to[i] : 0) + taps[i][done];
    }
  }
}

#include "lanes_end.h"
#undef VL
#undef MR
#undef GR
