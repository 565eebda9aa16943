// Elements of one type to another.

#include <string.h>

#include "narrow.h"

#define CK_SUFFIX _plain

static void load_halves_plain(const uint16_t *source, float *target, size_t count) {
#if defined(__aarch64__)
  const _Float16 *halves = (const _Float16 *)source;
  for (size_t i = 0; i < count; i++) { target[i] = (float)halves[i]; }
#else
  for (size_t i = 0; i < count; i++) { target[i] = ck_from_float16(source[i]); }
#endif
}

static void store_halves_plain(const float *source, uint16_t *target, size_t count) {
#if defined(__aarch64__)
  _Float16 *halves = (_Float16 *)target;
  for (size_t i = 0; i < count; i++) { halves[i] = (_Float16)source[i]; }
#else
  for (size_t i = 0; i < count; i++) { target[i] = ck_to_float16(source[i]); }
#endif
}

#include "convert_body.h"
#undef CK_SUFFIX

#if CK_X86
CK_AVX2_BEGIN
#define CK_SUFFIX _avx2

static void load_halves_avx2(const uint16_t *source, float *target, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(target + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(source + i))));
  }
  for (; i < count; i++) { target[i] = _cvtsh_ss(source[i]); }
}

static void store_halves_avx2(const float *source, uint16_t *target, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(source + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)(target + i), halves);
  }
  for (; i < count; i++) { target[i] = _cvtss_sh(source[i], _MM_FROUND_TO_NEAREST_INT); }
}

#include "convert_body.h"
#undef CK_SUFFIX
CK_AVX2_END
#endif

void ck_load_float32(int type, const void *source, float *target, size_t count) {
  CK_DISPATCH(load_float32, type, source, target, count);
}
void ck_load_float64(int type, const void *source, double *target, size_t count) {
  CK_DISPATCH(load_float64, type, source, target, count);
}
void ck_load_int64(int type, const void *source, int64_t *target, size_t count) {
  CK_DISPATCH(load_int64, type, source, target, count);
}
void ck_store_float32(int type, const float *source, void *target, size_t count) {
  CK_DISPATCH(store_float32, type, source, target, count);
}
void ck_store_float64(int type, const double *source, void *target, size_t count) {
  CK_DISPATCH(store_float64, type, source, target, count);
}
void ck_store_int64(int type, const int64_t *source, void *target, size_t count) {
  CK_DISPATCH(store_int64, type, source, target, count);
}
struct ck_losses ck_count_losses(const double *before, const double *after, double limit, size_t count) {
  return CK_DISPATCH(count_losses, before, after, limit, count);
}
struct ck_losses ck_count_integer_losses(const double *before, const double *after, size_t count) {
  return CK_DISPATCH(count_integer_losses, before, after, count);
}
void ck_clear_nan(double *values, size_t count) { CK_DISPATCH(clear_nan, values, count); }
void ck_negate_float32(float *values, size_t count) { CK_DISPATCH(negate_float32, values, count); }
void ck_negate_float64(double *values, size_t count) { CK_DISPATCH(negate_float64, values, count); }
