// Blocks of numbers merged.

#include <string.h>

#include "CCkptMergeKernels.h"
#include "InstructionSets.h"
#include "float_bits.h"

/// Four numbers that are worked on at once; where the processor has no such registers, the compiler uses others.
typedef uint64_t ck_lanes __attribute__((vector_size(32)));

#define ck_all(value) ((ck_lanes){(value), (value), (value), (value)})

#define KERNEL_AVX512 0
#define KERNEL_BODY "merge_body.h"
#include "ForEachInstructionSet.h"

void ck_subtract(const double *left, const double *right, double *target, size_t count) {
  DISPATCH_AVX2(subtract(left, right, target, count));
}
void ck_add_scaled(double *sum, const double *values, double factor, size_t count) {
  DISPATCH_AVX2(add_scaled(sum, values, factor, count));
}
void ck_add_products(double *sum, const double *values, const double *factors, size_t count) {
  DISPATCH_AVX2(add_products(sum, values, factors, count));
}
void ck_scale(double *values, double factor, size_t count) { DISPATCH_AVX2(scale(values, factor, count)); }
double ck_dot(const double *left, const double *right, size_t count) {
  return DISPATCH_AVX2(dot(left, right, count));
}
double ck_sum_of_magnitudes(const double *values, size_t count) {
  return DISPATCH_AVX2(sum_of_magnitudes(values, count));
}
size_t ck_count_nan(const double *values, size_t count) { return DISPATCH_AVX2(count_nan(values, count)); }
void ck_magnitude_bits(const double *values, uint32_t *bits, size_t count) {
  DISPATCH_AVX2(magnitude_bits(values, bits, count));
}
void ck_variance_bits(const double *const *rows, size_t rows_count, uint32_t *bits, size_t count) {
  DISPATCH_AVX2(variance_bits(rows, rows_count, bits, count));
}
void ck_difference_bits(
    const double *left, const double *right, double factor, uint32_t *bits, size_t count) {
  DISPATCH_AVX2(difference_bits(left, right, factor, bits, count));
}
size_t ck_count_equal(const uint32_t *bits, uint32_t value, size_t count) {
  return DISPATCH_AVX2(count_equal(bits, value, count));
}
void ck_keep_between(double *values, const uint32_t *bits, uint32_t low, uint32_t high, size_t count) {
  DISPATCH_AVX2(keep_between(values, bits, low, high, count));
}
void ck_random(uint32_t *numbers, uint64_t start, uint64_t stream, uint64_t key, size_t count) {
  DISPATCH_AVX2(random(numbers, start, stream, key, count));
}
void ck_keep_below(double *values, const uint32_t *numbers, uint64_t limit, size_t count) {
  DISPATCH_AVX2(keep_below(values, numbers, limit, count));
}
void ck_keep_with_probabilities(
    double *values, const uint32_t *numbers, const double *probabilities, size_t count) {
  DISPATCH_AVX2(keep_with_probabilities(values, numbers, probabilities, count));
}
void ck_consensus(
    const double *const *deltas, const double *weights, size_t deltas_count, int weighs, int normalizes,
    double least, double otherwise, double *target, size_t count) {
  DISPATCH_AVX2(consensus(deltas, weights, deltas_count, weighs, normalizes, least, otherwise, target, count));
}
void ck_near_swap(const double *left, const double *right, double t, double *target, size_t count) {
  DISPATCH_AVX2(near_swap(left, right, t, target, count));
}
void ck_choose(
    const double *left, const double *right, const uint32_t *bits, uint32_t limit, double *target,
    size_t count) {
  DISPATCH_AVX2(choose(left, right, bits, limit, target, count));
}

// What follows is scalar by nature.

void ck_count_upper_bits(const uint32_t *bits, uint64_t *counts, size_t count) {
  for (size_t i = 0; i < count; i++) { counts[bits[i] >> 15]++; }
}

void ck_count_lower_bits(const uint32_t *bits, uint32_t upper, uint64_t *counts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (bits[i] >> 15 == upper) { counts[bits[i] & 0x7FFF]++; }
  }
}

uint64_t ck_keep_ties(
    double *values, const uint32_t *bits, uint32_t value, uint64_t seen, uint64_t first, uint64_t end,
    size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (bits[i] != value) { continue; }
    if (seen < first || seen >= end) { values[i] = 0; }
    seen++;
  }
  return seen;
}
