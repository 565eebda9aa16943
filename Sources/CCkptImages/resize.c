// The arithmetic of Pillow's Resample.c on pixels of three bytes: fixed point numbers with 22 bits, two passes with
// bytes between them. And pixels to planes of numbers.

#include <string.h>

#include "CCkptImages.h"
#include "InstructionSets.h"

enum { BITS = 22 };

static inline uint8_t clip(int32_t sum) {
  int32_t value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/// The colors of a pixel of four bytes.
typedef int32_t lanes __attribute__((vector_size(16)));
typedef uint8_t four_bytes __attribute__((vector_size(4)));

static inline lanes pixel_lanes(const uint8_t *pixel) {
  four_bytes bytes;
  memcpy(&bytes, pixel, sizeof bytes);
  return __builtin_convertvector(bytes, lanes);
}

/// Sums to the bytes of a pixel, the first color in the byte that comes first in memory.
static inline uint32_t clip_lanes(lanes sums) {
  sums >>= BITS;
  sums &= sums >= 0;
  lanes is_over = sums > 255;
  four_bytes bytes = __builtin_convertvector((sums & ~is_over) | (is_over & 255), four_bytes);
  uint32_t made;
  memcpy(&made, &bytes, sizeof made);
  return made;
}

#define KERNEL_AVX512 0
#define KERNEL_BODY "resize_body.h"
#include "ForEachInstructionSet.h"

void ck_resize_rows(
    const uint8_t *in, size_t stride_in, int32_t width_in, int32_t rows, uint8_t *out, int32_t width_out,
    struct ck_resize_weights weights, uint8_t *scratch) {
  DISPATCH_AVX2(resize_rows(in, stride_in, width_in, rows, out, width_out, weights, scratch));
}

void ck_resize_columns(
    const uint8_t *in, size_t stride_in, int32_t row_bytes, uint8_t *out, int32_t height_out,
    struct ck_resize_weights weights) {
  DISPATCH_AVX2(resize_columns(in, stride_in, row_bytes, out, height_out, weights));
}

void ck_pixels_to_planes(
    const uint8_t *pixels, int32_t width, int32_t height, const float *table, int flipped, float *planes) {
  size_t plane = (size_t)width * (size_t)height;
  for (int32_t y = 0; y < height; y++) {
    const uint8_t *row = pixels + (size_t)y * (size_t)width * 3;
    float *target = planes + (size_t)y * (size_t)width;
    for (int32_t x = 0; x < width; x++) {
      const uint8_t *pixel = row + (size_t)(flipped ? width - 1 - x : x) * 3;
      target[x] = table[pixel[0]];
      target[x + plane] = table[256 + pixel[1]];
      target[x + 2 * plane] = table[512 + pixel[2]];
    }
  }
}
