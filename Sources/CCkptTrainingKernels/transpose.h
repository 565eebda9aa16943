#pragma once
#include <stdint.h>

typedef float eight __attribute__((vector_size(32)));
typedef int32_t eight_masks __attribute__((vector_size(32)));
typedef float any_eight __attribute__((vector_size(32), aligned(4), may_alias));

/// Eight rows of eight, `stride` apart, become eight columns that lie one behind the other.
#if defined(__x86_64__)
__attribute__((target("avx2")))
#endif
static void transpose(const float *from, int64_t stride, float *to) {
  eight r[8], t[8], s[8];
  for (int i = 0; i < 8; i++) r[i] = *(const any_eight *)(from + i * stride);
  for (int i = 0; i < 8; i += 2) {
    t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; j++) {
      eight a = t[i + j], b = t[i + j + 2];
      s[i + 2 * j] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
      s[i + 2 * j + 1] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
  }
  for (int i = 0; i < 4; i++) {
    *(any_eight *)(to + 8 * i) =
        __builtin_shufflevector(s[i], s[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *(any_eight *)(to + 8 * i + 32) =
        __builtin_shufflevector(s[i], s[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}
