// The loops of convolution.c for one instruction set (see InstructionSets.h). Sizes fit the number of registers:
//   VL   floats in a vector
//   MR   rows of a tile of outputs
//   NV   vectors of a tile of outputs
//   GM   rows of a tile of the weights' gradients
//   GN   columns of a tile of the weights' gradients
#if KERNEL_SET == 0
#define VL 4
#define MR 4
#define NV 3
#define GM 3
#define GN 4
#elif KERNEL_SET == 1
#define VL 8
#define MR 6
#define NV 2
#define GM 3
#define GN 4
#else
#define VL 16
#define MR 8
#define NV 2
#define GM 4
#define GN 6
#endif

typedef float VARIANT(vec) __attribute__((vector_size(VL * 4)));
typedef float VARIANT(any) __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef int32_t VARIANT(mask) __attribute__((vector_size(VL * 4)));
#define vec VARIANT(vec)
#define LOAD(p) (*(const VARIANT(any) *)(p))
#define STORE(p, v) (*(VARIANT(any) *)(p) = (v))
#define NR (NV * VL)

/// Packs the weights of the convolution that takes gradients back: inputs and outputs exchanged, kernels
/// turned round.
static void VARIANT(pack_turned)(
    const float *weights, int32_t outputs, int32_t channels, int32_t field, int32_t first,
    int32_t last, float *packed) {
  int32_t panels = (channels + MR - 1) / MR;
  int32_t columns = outputs * field;
  for (int32_t panel = first; panel < last; panel++) {
    int32_t rows = channels - panel * MR < MR ? channels - panel * MR : MR;
    const float *from = weights + (int64_t)panel * MR * field;
    int32_t start = 0, depth = columns < DEPTH ? columns : DEPTH, k = 0;
    float *to = packed + (int64_t)panel * depth * MR;
    for (int32_t output = 0; output < outputs; output++) {
      for (int32_t f = field - 1; f >= 0; f--) {
        if (k == depth) {
          start += DEPTH;
          depth = columns - start < DEPTH ? columns - start : DEPTH;
          k = 0;
          to = packed + ((int64_t)start * panels + (int64_t)panel * depth) * MR;
        }
        for (int32_t i = 0; i < rows; i++) to[i] = from[i * field + f];
        for (int32_t i = rows; i < MR; i++) to[i] = 0;
        to += MR;
        k++;
      }
      from += (int64_t)channels * field;
    }
  }
}

/// The offsets of pixels in the images, and for each vector whether its pixels are contiguous (1), every second (2) or
/// neither (0).
static inline void VARIANT(pixel_offsets)(
    const ct_convolution *c, int64_t first, int32_t count, int32_t padded, int32_t *offsets,
    uint8_t *kinds) {
  int32_t area = c->output_height * c->output_width;
  int32_t image = (int32_t)(first / area), rest = (int32_t)(first % area);
  int32_t y = rest / c->output_width, x = rest % c->output_width;
  int32_t plane = c->channels * c->height * c->width;
  for (int32_t i = 0; i < count; i++) {
    offsets[i] = image * plane + y * c->stride_y * c->width + x * c->stride_x;
    if (++x == c->output_width) {
      x = 0;
      if (++y == c->output_height) {
        y = 0;
        image++;
      }
    }
  }
  for (int32_t i = count; i < padded; i++) offsets[i] = 0;
  for (int32_t v = 0; v < padded / VL; v++) {
    const int32_t *p = offsets + v * VL;
    int32_t step = p[1] - p[0];
    int even = (step == 1 || step == 2) && (v + 1) * VL <= count;
    for (int32_t i = 1; i < VL; i++) even &= p[i] - p[i - 1] == step;
    kinds[v] = even ? step : 0;
  }
}

/// A vector of pixels, whose offsets are known, from an image moved by a weight's offset.
static inline vec VARIANT(pixels)(const float *from, const int32_t *offsets, uint8_t kind) {
  if (kind == 1) return LOAD(from + offsets[0]);
#if VL == 16
  if (kind == 2) {
    // The second load ends with the last pixel, not behind it.
    vec low = LOAD(from + offsets[0]), high = LOAD(from + offsets[0] + 15);
    return __builtin_shufflevector(
        low, high, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
  }
#endif
  vec result;
  for (int i = 0; i < VL; i++) result[i] = from[offsets[i]];
  return result;
}

/// One after the other, the offsets of a convolution's weights in an image.
typedef struct {
  int32_t offset, x, y, row, plane;
} VARIANT(walk);

static inline void VARIANT(begin)(VARIANT(walk) *w, const ct_convolution *c, int32_t k) {
  int32_t field = c->kernel_x * c->kernel_y;
  int32_t channel = k / field, rest = k % field;
  w->y = rest / c->kernel_x;
  w->x = rest % c->kernel_x;
  w->plane = channel * c->height * c->width;
  w->row = w->plane + w->y * c->dilation_y * c->width;
  w->offset = w->row + w->x * c->dilation_x;
}

static inline void VARIANT(next)(VARIANT(walk) *w, const ct_convolution *c) {
  if (++w->x < c->kernel_x) {
    w->offset += c->dilation_x;
    return;
  }
  w->x = 0;
  if (++w->y < c->kernel_y) {
    w->row += c->dilation_y * c->width;
  } else {
    w->y = 0;
    w->plane += c->height * c->width;
    w->row = w->plane;
  }
  w->offset = w->row;
}

/// acc = Σ a b over `depth` for MR rows and NR columns; a's rows are `across` apart, the last one is repeated
/// where there are fewer.
static inline __attribute__((always_inline)) void VARIANT(tile)(
    int32_t depth, const float *a, int64_t across, int64_t along, int32_t count, const float *b,
    vec acc[MR][NV]) {
  const float *rows[MR];
#pragma clang loop unroll(full)
  for (int i = 0; i < MR; i++) rows[i] = a + (i < count ? i : count - 1) * across;
  vec sum[MR][NV];
#pragma clang loop unroll(full)
  for (int i = 0; i < MR; i++)
#pragma clang loop unroll(full)
    for (int v = 0; v < NV; v++) sum[i][v] = (vec){0};
  for (int32_t k = 0; k < depth; k++) {
    vec right[NV];
#pragma clang loop unroll(full)
    for (int v = 0; v < NV; v++) right[v] = LOAD(b + v * VL);
#pragma clang loop unroll(full)
    for (int i = 0; i < MR; i++) {
      float left = rows[i][k * along];
#pragma clang loop unroll(full)
      for (int v = 0; v < NV; v++) sum[i][v] += left * right[v];
    }
    b += NR;
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < MR; i++)
#pragma clang loop unroll(full)
    for (int v = 0; v < NV; v++) acc[i][v] = sum[i][v];
}

static void VARIANT(convolve)(
    const ct_convolution *c, const float *images, const float *weights, int32_t is_packed,
    const ct_finish *finishing, float *output, int64_t first, int64_t last, int32_t first_panel, int32_t last_panel,
    float *scratch) {
  ct_finish finish = *finishing;
  int32_t area = c->output_height * c->output_width;
  int32_t columns = c->channels * c->kernel_y * c->kernel_x;
  int32_t panels = (c->outputs + MR - 1) / MR;
  int32_t offsets[PIXELS];
  int64_t targets[PIXELS];
  uint8_t kinds[PIXELS / VL];
  for (int64_t start = first; start < last; start += PIXELS) {
    int32_t count = last - start < PIXELS ? (int32_t)(last - start) : PIXELS;
    int32_t groups = (count + NR - 1) / NR;
    VARIANT(pixel_offsets)(c, start, count, groups * NR, offsets, kinds);
    for (int32_t i = 0; i < count; i++) {
      int64_t pixel = start + i;
      targets[i] = pixel / area * area * c->outputs + pixel % area;
    }
    for (int32_t from = 0; from < columns; from += DEPTH) {
      int32_t depth = columns - from < DEPTH ? columns - from : DEPTH;
      VARIANT(walk) walk;
      VARIANT(begin)(&walk, c, from);
      for (int32_t k = 0; k < depth; k++) {
        const float *image = images + walk.offset;
        float *to = scratch + k * NR;
        for (int32_t group = 0; group < groups; group++) {
#pragma clang loop unroll(full)
          for (int v = 0; v < NV; v++) {
            int32_t i = group * NV + v;
            STORE(to + v * VL, VARIANT(pixels)(image, offsets + i * VL, kinds[i]));
          }
          to += (int64_t)depth * NR;
        }
        VARIANT(next)(&walk, c);
      }
      for (int32_t panel = first_panel; panel < last_panel; panel++) {
        int32_t rows = c->outputs - panel * MR < MR ? c->outputs - panel * MR : MR;
        for (int32_t group = 0; group < groups; group++) {
          vec acc[MR][NV];
          const float *b = scratch + (int64_t)group * depth * NR;
          if (is_packed) {
            const float *a = weights + ((int64_t)from * panels + (int64_t)panel * depth) * MR;
            VARIANT(tile)(depth, a, 1, MR, rows, b, acc);
          } else {
            const float *a = weights + (int64_t)panel * MR * columns + from;
            VARIANT(tile)(depth, a, columns, 1, rows, b, acc);
          }
          const int64_t *target = targets + group * NR;
          int32_t width = count - group * NR < NR ? count - group * NR : NR;
          int32_t is_last = from + depth == columns;
          int64_t corner = (int64_t)panel * MR * area;
          if (width == NR && target[NR - 1] - target[0] == NR - 1) {
            for (int32_t i = 0; i < rows; i++) {
              int32_t row = panel * MR + i;
              int64_t offset = corner + i * area + target[0];
#pragma clang loop unroll(full)
              for (int v = 0; v < NV; v++, offset += VL) {
                vec value = acc[i][v];
                if (from > 0) value += LOAD(output + offset);
                if (is_last) {
                  if (finish.scale) value *= finish.scale[row];
                  if (finish.shift) value += finish.shift[row];
                  if (finish.addend) value += LOAD(finish.addend + offset);
                  if (finish.relu) value = (vec)((VARIANT(mask))value & ~(value < 0.0f));
                }
                STORE(output + offset, value);
              }
            }
          } else {
            for (int32_t i = 0; i < rows; i++) {
              const float *sums = (const float *)acc[i];
              int32_t row = panel * MR + i;
              for (int32_t j = 0; j < width; j++) {
                int64_t offset = corner + i * area + target[j];
                float value = sums[j];
                if (from > 0) value += output[offset];
                if (is_last) value = finished(&finish, row, offset, value);
                output[offset] = value;
              }
            }
          }
        }
      }
    }
  }
}

static inline float VARIANT(total)(vec v) {
  float sum = 0;
#if VL == 16
  typedef float half __attribute__((vector_size(32)));
  half a = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
           __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int i = 0; i < 8; i++) sum += a[i];
#else
  for (int i = 0; i < VL; i++) sum += v[i];
#endif
  return sum;
}

static void VARIANT(weight_gradient)(
    const ct_convolution *c, const float *images, const float *gradient, float *weights,
    int64_t pixels, int32_t first_column, int32_t last_column, float *scratch) {
  int32_t area = c->output_height * c->output_width;
  int32_t columns = c->channels * c->kernel_y * c->kernel_x;
  int32_t most = gradient_pixels(c->outputs);
  int32_t rows = (c->outputs + GM - 1) / GM * GM;
  float *slopes = scratch;                       // [rows][length]
  float *right = slopes + (int64_t)rows * most;  // [GN][length]
  int32_t offsets[GRADIENT_PIXELS];
  uint8_t kinds[GRADIENT_PIXELS / VL];
  for (int64_t start = 0; start < pixels; start += most) {
    int32_t count = pixels - start < most ? (int32_t)(pixels - start) : most;
    int32_t length = (count + VL - 1) / VL * VL;
    VARIANT(pixel_offsets)(c, start, count, length, offsets, kinds);
    for (int32_t row = 0; row < rows; row++) {
      float *to = slopes + (int64_t)row * length;
      for (int32_t i = 0; i < length;) {
        int64_t pixel = start + i;
        int32_t run = count - i;
        if (row >= c->outputs || run <= 0) {
          to[i++] = 0;
          continue;
        }
        int32_t rest = area - (int32_t)(pixel % area);
        if (run > rest) run = rest;
        const float *from = gradient + (pixel / area * c->outputs + row) * area + pixel % area;
        __builtin_memcpy(to + i, from, (size_t)run * 4);
        i += run;
      }
    }
    for (int32_t column = first_column; column < last_column; column += GN) {
      int32_t width = last_column - column < GN ? last_column - column : GN;
      VARIANT(walk) walk;
      VARIANT(begin)(&walk, c, column);
      for (int32_t j = 0; j < GN; j++) {
        float *to = right + (int64_t)j * length;
        const float *image = images + walk.offset;
        for (int32_t v = 0; v < length / VL; v++) {
          STORE(to + v * VL, VARIANT(pixels)(image, offsets + v * VL, kinds[v]));
        }
        // What is behind the last pixel meets zeros, and must not be a NaN.
        for (int32_t i = count; i < length; i++) to[i] = 0;
        if (j + 1 < width) VARIANT(next)(&walk, c);
      }
      for (int32_t row = 0; row < c->outputs; row += GM) {
        const float *left = slopes + (int64_t)row * length;
        vec sum[GM][GN];
#pragma clang loop unroll(full)
        for (int i = 0; i < GM; i++)
#pragma clang loop unroll(full)
          for (int j = 0; j < GN; j++) sum[i][j] = (vec){0};
        for (int32_t p = 0; p < length; p += VL) {
          vec a[GM];
#pragma clang loop unroll(full)
          for (int i = 0; i < GM; i++) a[i] = LOAD(left + (int64_t)i * length + p);
#pragma clang loop unroll(full)
          for (int j = 0; j < GN; j++) {
            vec b = LOAD(right + (int64_t)j * length + p);
#pragma clang loop unroll(full)
            for (int i = 0; i < GM; i++) sum[i][j] += a[i] * b;
          }
        }
        int32_t height = c->outputs - row < GM ? c->outputs - row : GM;
        float sums[GM][GN];
#pragma clang loop unroll(full)
        for (int i = 0; i < GM; i++)
#pragma clang loop unroll(full)
          for (int j = 0; j < GN; j++) sums[i][j] = VARIANT(total)(sum[i][j]);
        for (int i = 0; i < height; i++)
          for (int j = 0; j < width; j++)
          {
            float *to = weights + (int64_t)(row + i) * columns + column + j;
            *to = (start > 0 ? *to : 0) + sums[i][j];
          }
      }
    }
  }
}

#include "depthwise_body.h"

#undef vec
#undef LOAD
#undef STORE
#undef NR
#undef VL
#undef MR
#undef NV
#undef GM
#undef GN
