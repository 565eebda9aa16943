// Included by the bodies whose vectors go along the channels, of which a panel has NR: takes pixels from planes to such
// vectors. VL is the number of floats in a vector.

typedef float VARIANT(vec) __attribute__((vector_size(VL * 4)));
typedef float VARIANT(any) __attribute__((vector_size(VL * 4), aligned(4), may_alias));
#define vec VARIANT(vec)
#define LOAD(p) (*(const VARIANT(any) *)(p))
#define STORE(p, v) (*(VARIANT(any) *)(p) = (v))
#define NR (2 * VL)

/// Eight columns of VL rows, which are `stride` apart.
static inline __attribute__((always_inline)) void VARIANT(columns)(
    const float *from, int64_t stride, vec to[8]) {
#if VL == 16
  // As for eight rows, with rows 0 to 7 in the lower halves and rows 8 to 15 in the upper ones.
  vec r[8], t[8], s[8];
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i++) {
    eight low = *(const any_eight *)(from + i * stride);
    eight high = *(const any_eight *)(from + (i + 8) * stride);
    r[i] = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(
        r[i], r[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    t[i + 1] = __builtin_shufflevector(
        r[i], r[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 8; i += 4) {
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
      vec a = t[i + j], b = t[i + j + 2];
      s[i + 2 * j] = __builtin_shufflevector(
          a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      s[i + 2 * j + 1] = __builtin_shufflevector(
          a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; i++) {
    to[i] = __builtin_shufflevector(
        s[i], s[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
    to[i + 4] = __builtin_shufflevector(
        s[i], s[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
  }
#elif VL == 8
  float part[64];
  transpose(from, stride, part);
  for (int i = 0; i < 8; i++) to[i] = LOAD(part + i * 8);
#else
  for (int i = 0; i < 8; i++)
    for (int l = 0; l < VL; l++) to[i][l] = from[l * stride + i];
#endif
}

/// Takes pixels of some channels' planes to vectors of a pixel's channels; behind each `width` pixels `gap`
/// vectors are left out.
static void VARIANT(gather)(
    const float *planes, int64_t plane, int32_t lanes, int32_t count, int32_t width, int32_t gap,
    float *to) {
  int32_t p = 0, x = 0;
  if (lanes == VL) {
    for (; p + 8 <= count; p += 8) {
      vec pixels[8];
      VARIANT(columns)(planes + p, plane, pixels);
      if (x + 8 <= width) {
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i++) STORE(to + i * VL, pixels[i]);
        to += 8 * VL;
        x += 8;
        if (x == width) {
          x = 0;
          to += gap * VL;
        }
      } else {
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i++) {
          STORE(to, pixels[i]);
          to += VL;
          if (++x == width) {
            x = 0;
            to += gap * VL;
          }
        }
      }
    }
  }
  for (; p < count; p++) {
    for (int l = 0; l < VL; l++) to[l] = l < lanes ? planes[l * plane + p] : 0;
    to += VL;
    if (++x == width) {
      x = 0;
      to += gap * VL;
    }
  }
}
