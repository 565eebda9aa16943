// The loops of merge.c for one instruction set; see InstructionSets.h.

static void VARIANT(subtract)(
    const double *restrict left, const double *restrict right, double *restrict target, size_t count) {
  for (size_t i = 0; i < count; i++) { target[i] = left[i] - right[i]; }
}

static void VARIANT(add_scaled)(
    double *restrict sum, const double *restrict values, double factor, size_t count) {
  for (size_t i = 0; i < count; i++) { sum[i] += values[i] * factor; }
}

static void VARIANT(add_products)(
    double *restrict sum, const double *restrict values, const double *restrict factors, size_t count) {
  for (size_t i = 0; i < count; i++) { sum[i] += values[i] * factors[i]; }
}

static void VARIANT(scale)(double *values, double factor, size_t count) {
  for (size_t i = 0; i < count; i++) { values[i] *= factor; }
}

// Sums in 16 lanes whose order is fixed, so that they are the same on every machine.
#define CK_LANES(term) \
  double lanes[16] = {0}; \
  size_t i = 0; \
  for (; i + 16 <= count; i += 16) { \
    for (size_t j = 0; j < 16; j++) { lanes[j] += term(i + j); } \
  } \
  for (size_t j = 0; i + j < count; j++) { lanes[j] += term(i + j); } \
  for (size_t width = 8; width > 0; width /= 2) { \
    for (size_t j = 0; j < width; j++) { lanes[j] += lanes[j + width]; } \
  } \
  return lanes[0];

static double VARIANT(dot)(const double *left, const double *right, size_t count) {
#define TERM(i) (left[i] * right[i])
  CK_LANES(TERM)
#undef TERM
}

static double VARIANT(sum_of_magnitudes)(const double *values, size_t count) {
#define TERM(i) __builtin_fabs(values[i])
  CK_LANES(TERM)
#undef TERM
}

#undef CK_LANES

static size_t VARIANT(count_nan)(const double *values, size_t count) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) { found += values[i] != values[i]; }
  return found;
}

static void VARIANT(magnitude_bits)(const double *restrict values, uint32_t *restrict bits, size_t count) {
  for (size_t i = 0; i < count; i++) { bits[i] = ck_bits((float)values[i]) & 0x7FFFFFFF; }
}

static void VARIANT(variance_bits)(
    const double *const *rows, size_t rows_count, uint32_t *restrict bits, size_t count) {
  for (size_t i = 0; i < count; i++) {
    double mean = 0, sum = 0;
    for (size_t row = 0; row < rows_count; row++) { mean += rows[row][i]; }
    mean /= (double)rows_count;
    for (size_t row = 0; row < rows_count; row++) {
      double difference = rows[row][i] - mean;
      sum += difference * difference;
    }
    bits[i] = ck_bits((float)(sum / (double)rows_count)) & 0x7FFFFFFF;
  }
}

static void VARIANT(difference_bits)(
    const double *restrict left, const double *restrict right, double factor, uint32_t *restrict bits,
    size_t count) {
  for (size_t i = 0; i < count; i++) {
    bits[i] = ck_bits((float)(__builtin_fabs(left[i] - right[i]) * factor)) & 0x7FFFFFFF;
  }
}

static size_t VARIANT(count_equal)(const uint32_t *bits, uint32_t value, size_t count) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) { found += bits[i] == value; }
  return found;
}

static void VARIANT(keep_between)(
    double *restrict values, const uint32_t *restrict bits, uint32_t low, uint32_t high, size_t count) {
  for (size_t i = 0; i < count; i++) {
    values[i] = bits[i] >= low && bits[i] <= high ? values[i] : 0;
  }
}

static void VARIANT(random)(
    uint32_t *restrict numbers, uint64_t start, uint64_t stream, uint64_t key, size_t count) {
  const ck_lanes low = ck_all(0xFFFFFFFF), first = {0, 1, 2, 3}, second = {4, 5, 6, 7};
  // Eight counters at a time, in two halves, each counter giving four numbers of 32 bits in lanes of 64.
  for (size_t done = 0; done < count; done += 32) {
    uint64_t k0 = (uint32_t)key, k1 = key >> 32;
    ck_lanes a[2], b[2], c[2], d[2];
    for (size_t half = 0; half < 2; half++) {
      ck_lanes counter = ck_all((start + done) / 4) + (half ? second : first);
      a[half] = counter & low;
      b[half] = counter >> 32;
      c[half] = ck_all((uint32_t)stream);
      d[half] = ck_all(stream >> 32);
    }
    for (int round = 0; round < 10; round++) {
      for (size_t half = 0; half < 2; half++) {
        ck_lanes p = (a[half] & low) * ck_all(0xD2511F53), q = (c[half] & low) * ck_all(0xCD9E8D57);
        a[half] = (q >> 32) ^ b[half] ^ ck_all(k0);
        c[half] = (p >> 32) ^ d[half] ^ ck_all(k1);
        b[half] = q & low;
        d[half] = p & low;
      }
      k0 = (uint32_t)(k0 + 0x9E3779B9);
      k1 = (uint32_t)(k1 + 0xBB67AE85);
    }
    size_t rest = count - done < 32 ? count - done : 32;
    uint32_t block[32];
    for (size_t j = 0; j < 8; j++) {
      block[4 * j] = (uint32_t)a[j / 4][j % 4];
      block[4 * j + 1] = (uint32_t)b[j / 4][j % 4];
      block[4 * j + 2] = (uint32_t)c[j / 4][j % 4];
      block[4 * j + 3] = (uint32_t)d[j / 4][j % 4];
    }
    memcpy(numbers + done, block, rest * sizeof(uint32_t));
  }
}

static void VARIANT(keep_below)(
    double *restrict values, const uint32_t *restrict numbers, uint64_t limit, size_t count) {
  if (limit > UINT32_MAX) { return; }
  uint32_t bound = (uint32_t)limit;
  for (size_t i = 0; i < count; i++) { values[i] = numbers[i] < bound ? values[i] : 0; }
}

static void VARIANT(keep_with_probabilities)(
    double *restrict values, const uint32_t *restrict numbers, const double *restrict probabilities,
    size_t count) {
  for (size_t i = 0; i < count; i++) {
    values[i] = (double)numbers[i] < probabilities[i] * 0x1p32 ? values[i] : 0;
  }
}

static void VARIANT(consensus)(
    const double *const *deltas, const double *weights, size_t deltas_count, int weighs, int normalizes,
    double least, double otherwise, double *restrict target, size_t count) {
  for (size_t start = 0; start < count; start += 64) {
    size_t part = count - start < 64 ? count - start : 64;
    double sum[64] = {0}, mixed[64] = {0}, divisor[64] = {0};
    for (size_t row = 0; row < deltas_count; row++) {
      const double *delta = deltas[row] + start;
      for (size_t i = 0; i < part; i++) { sum[i] += delta[i]; }
    }
    for (size_t i = 0; i < 64; i++) { sum[i] = sum[i] >= 0 ? 1 : -1; }
    for (size_t row = 0; row < deltas_count; row++) {
      const double *delta = deltas[row] + start;
      double weight = weights[row], factor = weighs ? weight : 1;
      for (size_t i = 0; i < part; i++) {
        double agreeing = delta[i] * sum[i] > 0 ? 1.0 : 0.0;
        // A product, so that NaN stays NaN.
        mixed[i] += delta[i] * (agreeing * factor);
        divisor[i] += agreeing * weight;
      }
    }
    if (normalizes) {
      for (size_t i = 0; i < 64; i++) {
        mixed[i] /= __builtin_fabs(divisor[i]) > least ? divisor[i] : otherwise;
      }
    }
    memcpy(target + start, mixed, part * sizeof(double));
  }
}

static void VARIANT(near_swap)(
    const double *restrict left, const double *restrict right, double t, double *restrict target,
    size_t count) {
  for (size_t i = 0; i < count; i++) {
    double distance = __builtin_fabs(left[i] - right[i]);
    double weight = t / (distance < 1e-6 ? 1e-6 : distance);
    weight = weight < 0 ? 0 : weight > 1 ? 1 : weight;
    target[i] = weight * right[i] + (1 - weight) * left[i];
  }
}

static void VARIANT(choose)(
    const double *restrict left, const double *restrict right, const uint32_t *restrict bits, uint32_t limit,
    double *restrict target, size_t count) {
  for (size_t i = 0; i < count; i++) { target[i] = bits[i] >= limit ? right[i] : left[i]; }
}
