// Elements of one type to another.

#include <string.h>

#include "InstructionSets.h"
#include "narrow.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define KERNEL_AVX512 0
#define KERNEL_BODY "convert_body.h"
#include "ForEachInstructionSet.h"

void ck_load_float32(int type, const void *source, float *target, size_t count) {
  DISPATCH_AVX2(load_float32(type, source, target, count));
}
void ck_load_float64(int type, const void *source, double *target, size_t count) {
  DISPATCH_AVX2(load_float64(type, source, target, count));
}
void ck_load_int64(int type, const void *source, int64_t *target, size_t count) {
  DISPATCH_AVX2(load_int64(type, source, target, count));
}
void ck_store_float32(int type, const float *source, void *target, size_t count) {
  DISPATCH_AVX2(store_float32(type, source, target, count));
}
void ck_store_float64(int type, const double *source, void *target, size_t count) {
  DISPATCH_AVX2(store_float64(type, source, target, count));
}
void ck_store_int64(int type, const int64_t *source, void *target, size_t count) {
  DISPATCH_AVX2(store_int64(type, source, target, count));
}
struct ck_losses ck_count_losses(const double *before, const double *after, double limit, size_t count) {
  return DISPATCH_AVX2(count_losses(before, after, limit, count));
}
struct ck_losses ck_count_integer_losses(const double *before, const double *after, size_t count) {
  return DISPATCH_AVX2(count_integer_losses(before, after, count));
}
void ck_clear_nan(double *values, size_t count) { DISPATCH_AVX2(clear_nan(values, count)); }
void ck_negate_float32(float *values, size_t count) { DISPATCH_AVX2(negate_float32(values, count)); }
void ck_negate_float64(double *values, size_t count) { DISPATCH_AVX2(negate_float64(values, count)); }
