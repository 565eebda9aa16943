// The loops of convert.c for one instruction set; see InstructionSets.h.

#if KERNEL_SET >= 1
static void VARIANT(load_halves)(const uint16_t *source, float *target, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(target + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(source + i))));
  }
  for (; i < count; i++) { target[i] = _cvtsh_ss(source[i]); }
}

static void VARIANT(store_halves)(const float *source, uint16_t *target, size_t count) {
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(source + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)(target + i), halves);
  }
  for (; i < count; i++) { target[i] = _cvtss_sh(source[i], _MM_FROUND_TO_NEAREST_INT); }
}
#else
static void VARIANT(load_halves)(const uint16_t *source, float *target, size_t count) {
#if defined(__aarch64__)
  const _Float16 *halves = (const _Float16 *)source;
  for (size_t i = 0; i < count; i++) { target[i] = (float)halves[i]; }
#else
  for (size_t i = 0; i < count; i++) { target[i] = ck_from_float16(source[i]); }
#endif
}

static void VARIANT(store_halves)(const float *source, uint16_t *target, size_t count) {
#if defined(__aarch64__)
  _Float16 *halves = (_Float16 *)target;
  for (size_t i = 0; i < count; i++) { halves[i] = (_Float16)source[i]; }
#else
  for (size_t i = 0; i < count; i++) { target[i] = ck_to_float16(source[i]); }
#endif
}
#endif

#define CK_EACH(S, T, expression) \
  { const S *restrict s = source; T *restrict t = target; \
    for (size_t i = 0; i < count; i++) { S x = s[i]; t[i] = (T)(expression); } return; }

static void VARIANT(load_float32)(int type, const void *source, float *target, size_t count) {
  switch (type) {
    case CK_FLOAT64: CK_EACH(double, float, x)
    case CK_FLOAT32: memcpy(target, source, count * sizeof(float)); return;
    case CK_FLOAT16: VARIANT(load_halves)(source, target, count); return;
    case CK_BFLOAT16: CK_EACH(uint16_t, float, ck_from_bfloat16(x))
    case CK_FLOAT8_E4M3FN: CK_EACH(uint8_t, float, ck_from_float8_e4m3fn(x))
    case CK_FLOAT8_E5M2: CK_EACH(uint8_t, float, ck_from_float8_e5m2(x))
    case CK_FLOAT8_E4M3FNUZ: CK_EACH(uint8_t, float, ck_from_float8_fnuz(x, 3, 8))
    case CK_FLOAT8_E5M2FNUZ: CK_EACH(uint8_t, float, ck_from_float8_fnuz(x, 2, 16))
    case CK_FLOAT8_E8M0FNU: CK_EACH(uint8_t, float, ck_from_float8_e8m0fnu(x))
    case CK_INT8: CK_EACH(int8_t, float, x)
    case CK_INT16: CK_EACH(int16_t, float, x)
    case CK_INT32: CK_EACH(int32_t, float, x)
    case CK_INT64: CK_EACH(int64_t, float, x)
    case CK_UINT8: CK_EACH(uint8_t, float, x)
    case CK_UINT16: CK_EACH(uint16_t, float, x)
    case CK_UINT32: CK_EACH(uint32_t, float, x)
    case CK_UINT64: CK_EACH(uint64_t, float, x)
    case CK_BOOL: CK_EACH(uint8_t, float, x != 0)
  }
}

static void VARIANT(load_float64)(int type, const void *source, double *target, size_t count) {
  switch (type) {
    case CK_FLOAT64: memcpy(target, source, count * sizeof(double)); return;
    case CK_FLOAT32: CK_EACH(float, double, x)
    case CK_INT8: CK_EACH(int8_t, double, x)
    case CK_INT16: CK_EACH(int16_t, double, x)
    case CK_INT32: CK_EACH(int32_t, double, x)
    case CK_INT64: CK_EACH(int64_t, double, x)
    case CK_UINT8: CK_EACH(uint8_t, double, x)
    case CK_UINT16: CK_EACH(uint16_t, double, x)
    case CK_UINT32: CK_EACH(uint32_t, double, x)
    case CK_UINT64: CK_EACH(uint64_t, double, x)
    case CK_BOOL: CK_EACH(uint8_t, double, x != 0)
  }
  // The narrow types, all of them exact in float32.
  float block[512];
  size_t width = type == CK_FLOAT16 || type == CK_BFLOAT16 ? 2 : 1;
  for (size_t start = 0; start < count; start += 512) {
    size_t part = count - start < 512 ? count - start : 512;
    VARIANT(load_float32)(type, (const char *)source + start * width, block, part);
    for (size_t i = 0; i < part; i++) { target[start + i] = block[i]; }
  }
}

static void VARIANT(load_int64)(int type, const void *source, int64_t *target, size_t count) {
  switch (type) {
    case CK_INT8: CK_EACH(int8_t, int64_t, x)
    case CK_INT16: CK_EACH(int16_t, int64_t, x)
    case CK_INT32: CK_EACH(int32_t, int64_t, x)
    case CK_UINT8: CK_EACH(uint8_t, int64_t, x)
    case CK_UINT16: CK_EACH(uint16_t, int64_t, x)
    case CK_UINT32: CK_EACH(uint32_t, int64_t, x)
    case CK_INT64:
    case CK_UINT64: memcpy(target, source, count * sizeof(int64_t)); return;
    case CK_BOOL: CK_EACH(uint8_t, int64_t, x != 0)
  }
}

static void VARIANT(store_float32)(int type, const float *source, void *target, size_t count) {
  switch (type) {
    case CK_FLOAT32: memcpy(target, source, count * sizeof(float)); return;
    case CK_FLOAT16: VARIANT(store_halves)(source, target, count); return;
    case CK_BFLOAT16: CK_EACH(float, uint16_t, ck_to_bfloat16(x, 0xFFFF))
    case CK_BFLOAT16_FROM_NARROW: CK_EACH(float, uint16_t, ck_to_bfloat16(x, 0x7FC0))
    case CK_FLOAT8_E4M3FN: CK_EACH(float, uint8_t, ck_to_float8_e4m3fn(x))
    case CK_FLOAT8_E5M2: CK_EACH(float, uint8_t, ck_to_float8_e5m2(x))
    case CK_FLOAT8_E4M3FNUZ: CK_EACH(float, uint8_t, ck_to_float8_fnuz(x, 3, 8))
    case CK_FLOAT8_E5M2FNUZ: CK_EACH(float, uint8_t, ck_to_float8_fnuz(x, 2, 16))
    case CK_FLOAT8_E8M0FNU: CK_EACH(float, uint8_t, ck_to_float8_e8m0fnu(x))
  }
}

static void VARIANT(store_float64)(int type, const double *source, void *target, size_t count) {
  switch (type) {
    case CK_FLOAT64: memcpy(target, source, count * sizeof(double)); return;
    case CK_FLOAT32: CK_EACH(double, float, x)
    // PyTorch truncates to 32 bits for the shorter integers, to 64 for uint8 and uint32.
    case CK_INT8: CK_EACH(double, int8_t, ck_truncate_int32(x))
    case CK_INT16: CK_EACH(double, int16_t, ck_truncate_int32(x))
    case CK_INT32: CK_EACH(double, int32_t, ck_truncate_int32(x))
    case CK_INT64: CK_EACH(double, int64_t, ck_truncate_int64(x))
    case CK_UINT8: CK_EACH(double, uint8_t, ck_truncate_int64(x))
    case CK_UINT16: CK_EACH(double, uint16_t, ck_truncate_int32(x))
    case CK_UINT32: CK_EACH(double, uint32_t, ck_truncate_int64(x))
    case CK_UINT64: CK_EACH(double, uint64_t, ck_truncate_uint64(x))
    case CK_BOOL: CK_EACH(double, uint8_t, x != 0)
  }
  float block[512];
  size_t width = type == CK_FLOAT16 || type == CK_BFLOAT16 ? 2 : 1;
  for (size_t start = 0; start < count; start += 512) {
    size_t part = count - start < 512 ? count - start : 512;
    for (size_t i = 0; i < part; i++) { block[i] = (float)source[start + i]; }
    VARIANT(store_float32)(type, block, (char *)target + start * width, part);
  }
}

static void VARIANT(store_int64)(int type, const int64_t *source, void *target, size_t count) {
  switch (type) {
    case CK_INT8:
    case CK_UINT8: CK_EACH(int64_t, uint8_t, x)
    case CK_INT16:
    case CK_UINT16: CK_EACH(int64_t, uint16_t, x)
    case CK_INT32:
    case CK_UINT32: CK_EACH(int64_t, uint32_t, x)
    case CK_INT64:
    case CK_UINT64: memcpy(target, source, count * sizeof(int64_t)); return;
    case CK_BOOL: CK_EACH(int64_t, uint8_t, x != 0)
  }
}

static struct ck_losses VARIANT(count_losses)(
    const double *before, const double *after, double limit, size_t count) {
  size_t overflowed = 0, vanished = 0;
  for (size_t i = 0; i < count; i++) {
    double size = before[i] < 0 ? -before[i] : before[i], left = after[i] < 0 ? -after[i] : after[i];
    overflowed += (size < __builtin_inf()) & (!(left < __builtin_inf()) | (size >= limit));
    vanished += (size > 0) & (left == 0);
  }
  struct ck_losses losses = {overflowed, vanished};
  return losses;
}

static struct ck_losses VARIANT(count_integer_losses)(
    const double *before, const double *after, size_t count) {
  size_t overflowed = 0, vanished = 0;
  for (size_t i = 0; i < count; i++) {
    double difference = before[i] - after[i];
    difference = difference < 0 ? -difference : difference;
    overflowed += !(difference < 1);
    vanished += (difference > 0) & (difference < 1) & (after[i] == 0);
  }
  struct ck_losses losses = {overflowed, vanished};
  return losses;
}

static void VARIANT(clear_nan)(double *values, size_t count) {
  for (size_t i = 0; i < count; i++) { values[i] = values[i] == values[i] ? values[i] : 0; }
}

static void VARIANT(negate_float32)(float *values, size_t count) {
  for (size_t i = 0; i < count; i++) { values[i] = -values[i]; }
}

static void VARIANT(negate_float64)(double *values, size_t count) {
  for (size_t i = 0; i < count; i++) { values[i] = -values[i]; }
}

#undef CK_EACH
