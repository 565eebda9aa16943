// One narrow floating-point number from and to float32, as PyTorch does it: rounded to nearest even; what
// happens at the ends of the range and to NaN depends on the type.

#ifndef CKERNELS_NARROW_H
#define CKERNELS_NARROW_H

#include "float_bits.h"

static inline uint32_t ck_select(int condition, uint32_t yes, uint32_t no) {
  return condition ? yes : no;
}

// bfloat16: the upper half of float32. From float32 every NaN becomes 0xFFFF, from narrower types 0x7FC0, as in
// PyTorch's two loops for this.

static inline float ck_from_bfloat16(uint16_t bits) { return ck_float((uint32_t)bits << 16); }

static inline uint16_t ck_to_bfloat16(float value, uint32_t nan) {
  uint32_t bits = ck_bits(value);
  uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  return (uint16_t)ck_select((bits & 0x7FFFFFFF) > 0x7F800000, nan, rounded);
}

// float16, for processors without instructions for it. NaN keeps the upper bits of its payload and becomes quiet.

static inline float ck_from_float16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7FFF;
  // Numbers below the normal range: count times 2^-24, exactly.
  float small = (float)(int32_t)magnitude * 0x1p-24f;
  uint32_t normal = (magnitude << 13) + ((127 - 15) << 23);
  uint32_t special = 0x7F800000 | (magnitude & 0x3FF) << 13 | ck_select((magnitude & 0x3FF) != 0, 0x400000, 0);
  uint32_t bits = ck_select(magnitude < 0x400, ck_bits(small), ck_select(magnitude >= 0x7C00, special, normal));
  return ck_float(bits | sign);
}

static inline uint16_t ck_to_float16(float value) {
  uint32_t bits = ck_bits(value), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7FFFFFFF;
  // Below 2^-14 the sum with 0.5 rounds to a multiple of 2^-24, to nearest even.
  uint32_t small = ck_bits(ck_float(magnitude) + 0.5f) - ck_bits(0.5f);
  uint32_t normal = (magnitude + 0xFFF + ((magnitude >> 13) & 1) - ((127u - 15) << 23)) >> 13;
  uint32_t nan = 0x7E00 | ((magnitude >> 13) & 0x3FF);
  uint32_t result = ck_select(magnitude < 0x38800000, small, normal);
  // From 65520 on numbers round to infinity.
  result = ck_select(magnitude >= 0x477FF000, 0x7C00, result);
  result = ck_select(magnitude > 0x7F800000, nan, result);
  return (uint16_t)(result | sign);
}

// The 8-bit types with a sign: `fraction` bits of significand, exponents with this bias.

/// A magnitude (7 bits) that is neither NaN nor infinite.
static inline float ck_small_magnitude(uint32_t magnitude, int fraction, int bias) {
  uint32_t exponent = magnitude >> fraction, significand = magnitude & ((1u << fraction) - 1);
  if (exponent == 0) {
    return (float)(int32_t)significand * ck_float((uint32_t)(127 + 1 - bias - fraction) << 23);
  }
  return ck_float((exponent + 127 - (uint32_t)bias) << 23 | significand << (23 - fraction));
}

/// The magnitude nearest to a finite float32 magnitude, ties to even; may exceed the type's range.
static inline uint32_t ck_nearest_magnitude(uint32_t magnitude, int fraction, int bias) {
  uint32_t least = (uint32_t)(127 + 1 - bias) << 23;
  if (magnitude < least) {
    // Adding a power of two whose last bit is the type's smallest number rounds to a multiple of it.
    float shift = ck_float((uint32_t)(127 + 1 - bias - fraction + 23) << 23);
    return ck_bits(ck_float(magnitude) + shift) - ck_bits(shift);
  }
  uint32_t drop = 23 - (uint32_t)fraction;
  uint32_t rounded = magnitude + ((1u << (drop - 1)) - 1) + ((magnitude >> drop) & 1);
  return (rounded - ((uint32_t)(127 - bias) << 23)) >> drop;
}

static inline float ck_from_float8_e4m3fn(uint8_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x80) << 24, magnitude = bits & 0x7F;
  uint32_t value = magnitude == 0x7F ? 0x7FF00000 : ck_bits(ck_small_magnitude(magnitude, 3, 7));
  return ck_float(value | sign);
}

static inline uint8_t ck_to_float8_e4m3fn(float value) {
  uint32_t bits = ck_bits(value), sign = (bits >> 24) & 0x80, magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) { return (uint8_t)(0x7F | sign); }
  // There is no infinity: what exceeds the range, infinity too, becomes the largest number, 448.
  if (magnitude > 0x43E00000) { return (uint8_t)(0x7E | sign); }
  return (uint8_t)(ck_nearest_magnitude(magnitude, 3, 7) | sign);
}

static inline float ck_from_float8_e5m2(uint8_t bits) {
  return ck_from_float16((uint16_t)(bits << 8));
}

static inline uint8_t ck_to_float8_e5m2(float value) {
  uint32_t bits = ck_bits(value), sign = (bits >> 24) & 0x80, magnitude = bits & 0x7FFFFFFF;
  if (magnitude > 0x7F800000) { return (uint8_t)(0x7F | sign); }
  if (magnitude >= 0x47800000) { return (uint8_t)(0x7C | sign); }
  return (uint8_t)(ck_nearest_magnitude(magnitude, 2, 15) | sign);
}

// The types without a negative zero: 0x80 is their one NaN, and what exceeds the range.

static inline float ck_from_float8_fnuz(uint8_t bits, int fraction, int bias) {
  if (bits == 0x80) { return ck_float(0x7F800001); }
  uint32_t sign = (uint32_t)(bits & 0x80) << 24;
  return ck_float(ck_bits(ck_small_magnitude(bits & 0x7F, fraction, bias)) | sign);
}

static inline uint8_t ck_to_float8_fnuz(float value, int fraction, int bias) {
  uint32_t bits = ck_bits(value), sign = (bits >> 24) & 0x80, magnitude = bits & 0x7FFFFFFF;
  if (magnitude >= 0x7F800000) { return 0x80; }
  uint32_t result = ck_nearest_magnitude(magnitude, fraction, bias);
  if (result == 0) { return 0; }
  return result > 0x7F ? 0x80 : (uint8_t)(result | sign);
}

// An exponent alone: powers of two from 2^-127; 0xFF is NaN, and stands for infinity too.

static inline float ck_from_float8_e8m0fnu(uint8_t bits) {
  return ck_float(bits == 0 ? 0x00400000 : bits == 0xFF ? 0x7F800001 : (uint32_t)bits << 23);
}

static inline uint8_t ck_to_float8_e8m0fnu(float value) {
  uint32_t bits = ck_bits(value), exponent = (bits >> 23) & 0xFF;
  if (exponent == 0xFF) { return 0xFF; }
  int guard = (bits & 0x400000) != 0, sticky = (bits & 0x3FFFFF) != 0;
  return (uint8_t)(exponent + (guard && (exponent > 0 || sticky)));
}

// float64 and 64-bit integers.

/// Towards zero; what no 64-bit integer is gives the least one, as x86 does.
static inline int64_t ck_truncate_int64(double value) {
  return value >= -0x1p63 && value < 0x1p63 ? (int64_t)value : INT64_MIN;
}
static inline int32_t ck_truncate_int32(double value) {
  return value > -2147483649.0 && value < 2147483648.0 ? (int32_t)value : INT32_MIN;
}
static inline uint64_t ck_truncate_uint64(double value) {
  if (value >= 0x1p63) { return (uint64_t)ck_truncate_int64(value - 0x1p63) ^ (UINT64_C(1) << 63); }
  return (uint64_t)ck_truncate_int64(value);
}

#endif
