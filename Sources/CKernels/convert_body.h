// The loops of convert.c, for one variant of the processor; included once for each.

#define CK_EACH(S, T, expression) \
  { const S *restrict s = source; T *restrict t = target; \
    for (size_t i = 0; i < count; i++) { S x = s[i]; t[i] = (T)(expression); } return; }

static void CK_NAME(load_float32)(int type, const void *source, float *target, size_t count) {
  switch (type) {
    case CK_FLOAT64: CK_EACH(double, float, x)
    case CK_FLOAT32: memcpy(target, source, count * sizeof(float)); return;
    case CK_FLOAT16: CK_NAME(load_halves)(source, target, count); return;
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

static void CK_NAME(load_float64)(int type, const void *source, double *target, size_t count) {
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
    CK_NAME(load_float32)(type, (const char *)source + start * width, block, part);
    for (size_t i = 0; i < part; i++) { target[start + i] = block[i]; }
  }
}

static void CK_NAME(load_int64)(int type, const void *source, int64_t *target, size_t count) {
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

static void CK_NAME(store_float32)(int type, const float *source, void *target, size_t count) {
  switch (type) {
    case CK_FLOAT32: memcpy(target, source, count * sizeof(float)); return;
    case CK_FLOAT16: CK_NAME(store_halves)(source, target, count); return;
    case CK_BFLOAT16: CK_EACH(float, uint16_t, ck_to_bfloat16(x, 0xFFFF))
    case CK_BFLOAT16_FROM_NARROW: CK_EACH(float, uint16_t, ck_to_bfloat16(x, 0x7FC0))
    case CK_FLOAT8_E4M3FN: CK_EACH(float, uint8_t, ck_to_float8_e4m3fn(x))
    case CK_FLOAT8_E5M2: CK_EACH(float, uint8_t, ck_to_float8_e5m2(x))
    case CK_FLOAT8_E4M3FNUZ: CK_EACH(float, uint8_t, ck_to_float8_fnuz(x, 3, 8))
    case CK_FLOAT8_E5M2FNUZ: CK_EACH(float, uint8_t, ck_to_float8_fnuz(x, 2, 16))
    case CK_FLOAT8_E8M0FNU: CK_EACH(float, uint8_t, ck_to_float8_e8m0fnu(x))
  }
}

static void CK_NAME(store_float64)(int type, const double *source, void *target, size_t count) {
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
    CK_NAME(store_float32)(type, block, (char *)target + start * width, part);
  }
}

static void CK_NAME(store_int64)(int type, const int64_t *source, void *target, size_t count) {
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

static struct ck_losses CK_NAME(count_losses)(
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

static struct ck_losses CK_NAME(count_integer_losses)(
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

static void CK_NAME(clear_nan)(double *values, size_t count) {
  for (size_t i = 0; i < count; i++) { values[i] = values[i] == values[i] ? values[i] : 0; }
}

static void CK_NAME(negate_float32)(float *values, size_t count) {
  for (size_t i = 0; i < count; i++) { values[i] = -values[i]; }
}

static void CK_NAME(negate_float64)(double *values, size_t count) {
  for (size_t i = 0; i < count; i++) { values[i] = -values[i]; }
}

#undef CK_EACH
