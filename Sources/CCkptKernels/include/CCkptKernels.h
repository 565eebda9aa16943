// Loops over numbers: each is compiled for the baseline and for AVX2; the better one that the processor has is
// called. All give the same results on every processor. No function allocates or keeps state.

#ifndef CCKPTKERNELS_H
#define CCKPTKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "CCkptMergeKernels.h"

/// What the elements of a block are; the order is that of ElementConversion.swift.
enum {
  CK_FLOAT64,
  CK_FLOAT32,
  CK_FLOAT16,
  CK_BFLOAT16,
  CK_FLOAT8_E4M3FN,
  CK_FLOAT8_E5M2,
  CK_FLOAT8_E4M3FNUZ,
  CK_FLOAT8_E5M2FNUZ,
  CK_FLOAT8_E8M0FNU,
  CK_INT8,
  CK_INT16,
  CK_INT32,
  CK_INT64,
  CK_UINT8,
  CK_UINT16,
  CK_UINT32,
  CK_UINT64,
  CK_BOOL,
  /// As a target only: bfloat16 for numbers that come from a type of at most 16 bits or a complex one.
  CK_BFLOAT16_FROM_NARROW,
};

/// Any type to float32: exact, or rounded to nearest even (float64 and wide integers).
void ck_load_float32(int type, const void *source, float *target, size_t count);
/// Any type to float64: exact, but for 64-bit integers, which are rounded to nearest even.
void ck_load_float64(int type, const void *source, double *target, size_t count);
/// An integer type or bool to 64 bits, sign-extended or zero-extended.
void ck_load_int64(int type, const void *source, int64_t *target, size_t count);

/// float32 to a floating-point type of at most 32 bits, rounded to nearest even.
void ck_store_float32(int type, const float *source, void *target, size_t count);
/// float64 to any type: truncated for integers, through float32 for the narrow floating-point types.
void ck_store_float64(int type, const double *source, void *target, size_t count);
/// 64-bit integers to an integer type (the low bits) or bool (whether any bit is set).
void ck_store_int64(int type, const int64_t *source, void *target, size_t count);

/// Numbers that a conversion could not keep.
struct ck_losses {
  size_t overflowed;
  size_t vanished;
};
/// Compares numbers with the floating-point numbers that became of them: how many were finite and no longer are,
/// or reach `limit`; how many were not zero and now are.
struct ck_losses ck_count_losses(const double *before, const double *after, double limit, size_t count);
/// Compares numbers with the integers that became of them: how many are off by one or more; how many are zero
/// now since they were fractions.
struct ck_losses ck_count_integer_losses(const double *before, const double *after, size_t count);

/// Lets NaN be 0, in place.
void ck_clear_nan(double *values, size_t count);
/// Negates in place.
void ck_negate_float32(float *values, size_t count);
/// Negates in place.
void ck_negate_float64(double *values, size_t count);

#endif
