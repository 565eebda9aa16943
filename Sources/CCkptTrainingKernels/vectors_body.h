// The loops of vectors.c for one instruction set (see InstructionSets.h):
//   VL   floats in a vector
#if KERNEL_SET == 0
#define VL 4
#elif KERNEL_SET == 1
#define VL 8
#else
#define VL 16
#endif

typedef float VARIANT(f) __attribute__((vector_size(VL * 4)));
typedef int32_t VARIANT(i) __attribute__((vector_size(VL * 4)));
typedef float VARIANT(u) __attribute__((vector_size(VL * 4), aligned(4), may_alias));
typedef int32_t VARIANT(iu) __attribute__((vector_size(VL * 4), aligned(4), may_alias));
#define vec VARIANT(f)
#define ints VARIANT(i)
#define LOAD(p) (*(const VARIANT(u) *)(p))
#define STORE(p, v) (*(VARIANT(u) *)(p) = (v))
#define ALL(x) ((x) - (vec){0})
#define SELECT(mask, a, b) ((vec)(((ints)(a) & (mask)) | ((ints)(b) & ~(mask))))

/// Σ of a vector, in double precision.
static inline double VARIANT(reduce)(vec v) {
  double sum = 0;
  for (int i = 0; i < VL; i++) sum += v[i];
  return sum;
}

// Sums go on in single precision over short blocks, in double precision over these.
enum { VARIANT(block) = 64 * VL };

static double VARIANT(sum)(const float *x, int64_t n) {
  double total = 0;
  int64_t k = 0;
  while (n - k >= VL) {
    vec a = {0}, b = {0};
    int64_t end = n - k < VARIANT(block) ? n : k + VARIANT(block);
    for (; k + 2 * VL <= end; k += 2 * VL) {
      a += LOAD(x + k);
      b += LOAD(x + k + VL);
    }
    for (; k + VL <= end; k += VL) a += LOAD(x + k);
    total += VARIANT(reduce)(a + b);
  }
  for (; k < n; k++) total += x[k];
  return total;
}

static double VARIANT(squared_distance)(const float *x, int64_t n, float center) {
  double total = 0;
  int64_t k = 0;
  while (n - k >= VL) {
    vec a = {0}, b = {0};
    int64_t end = n - k < VARIANT(block) ? n : k + VARIANT(block);
    for (; k + 2 * VL <= end; k += 2 * VL) {
      vec c = LOAD(x + k) - center, d = LOAD(x + k + VL) - center;
      a += c * c;
      b += d * d;
    }
    for (; k + VL <= end; k += VL) {
      vec c = LOAD(x + k) - center;
      a += c * c;
    }
    total += VARIANT(reduce)(a + b);
  }
  for (; k < n; k++) total += (double)(x[k] - center) * (x[k] - center);
  return total;
}

static void VARIANT(sum_and_product)(
    const float *g, const float *x, int64_t n, float center, double result[2]) {
  double sum = 0, product = 0;
  int64_t k = 0;
  while (n - k >= VL) {
    vec a = {0}, b = {0};
    int64_t end = n - k < VARIANT(block) ? n : k + VARIANT(block);
    for (; k + VL <= end; k += VL) {
      vec slope = LOAD(g + k);
      a += slope;
      b += slope * (LOAD(x + k) - center);
    }
    sum += VARIANT(reduce)(a);
    product += VARIANT(reduce)(b);
  }
  for (; k < n; k++) {
    sum += g[k];
    product += (double)g[k] * (x[k] - center);
  }
  result[0] = sum;
  result[1] = product;
}

static void VARIANT(relu_sums)(
    const float *g, const float *output, const float *x, float *passed, int64_t n, float center,
    double result[2]) {
  double sum = 0, product = 0;
  int64_t k = 0;
  while (n - k >= VL) {
    vec a = {0}, b = {0};
    int64_t end = n - k < VARIANT(block) ? n : k + VARIANT(block);
    for (; k + VL <= end; k += VL) {
      vec slope = SELECT(LOAD(output + k) > 0.0f, LOAD(g + k), ALL(0.0f));
      STORE(passed + k, slope);
      a += slope;
      b += slope * (LOAD(x + k) - center);
    }
    sum += VARIANT(reduce)(a);
    product += VARIANT(reduce)(b);
  }
  for (; k < n; k++) {
    passed[k] = output[k] > 0 ? g[k] : 0;
    sum += passed[k];
    product += (double)passed[k] * (x[k] - center);
  }
  result[0] = sum;
  result[1] = product;
}

/// exp(x) to 2 ulp (the polynomial of Cephes' expf); 0 where that is below the smallest normal number.
static inline vec VARIANT(exp)(vec x) {
  vec low = ALL(-87.3f), high = ALL(88.3f);
  vec c = SELECT(x < low, low, x);
  c = SELECT(c > high, high, c);
  vec shifted = c * 1.44269504088896341f + 12582912.0f;
  vec n = shifted - 12582912.0f;
  vec r = c - n * 0.693359375f + n * 2.12194440e-4f;
  vec p = ALL(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // The whole number lies in the low bits of the shifted one.
  ints power = ((ints)shifted - 0x4B400000 + 127) << 23;
  vec result = p * (vec)power;
  return SELECT(x < low, ALL(0.0f), result);
}

/// erf(x) to a few ulp: an odd rational function up to 4, where erf is 1 in single precision (the
/// coefficients are those of Eigen's).
static inline vec VARIANT(erf)(vec x) {
  vec low = ALL(-4.0f), high = ALL(4.0f);
  x = SELECT(x < low, low, x);
  x = SELECT(x > high, high, x);
  vec s = x * x;
  vec p = ALL(-2.72614225801306e-10f);
  p = p * s + 2.77068142495902e-08f;
  p = p * s + -2.10102402082508e-06f;
  p = p * s + -5.69250639462346e-05f;
  p = p * s + -7.34990630326855e-04f;
  p = p * s + -2.95459980854025e-03f;
  p = p * s + -1.60960333262415e-02f;
  vec q = ALL(-1.45660718464996e-05f);
  q = q * s + -2.13374055278905e-04f;
  q = q * s + -1.68282697438203e-03f;
  q = q * s + -7.37332916720468e-03f;
  q = q * s + -1.42647390514189e-02f;
  return x * p / q;
}

static inline vec VARIANT(one_gelu)(vec x) {
  return x * 0.5f * (1.0f + VARIANT(erf)(x * 0.70710678118654752f));
}

static inline vec VARIANT(one_gelu_slope)(vec x) {
  vec below = 0.5f * (1.0f + VARIANT(erf)(x * 0.70710678118654752f));
  return below + x * 0.39894228040143268f * VARIANT(exp)(x * x * -0.5f);
}

// 1 + tanh(z) = 2 / (1 + exp(-2z))
static inline vec VARIANT(one_gelu_tanh)(vec x) {
  vec z = 0.79788456080286536f * (x + 0.044715f * x * x * x);
  return x / (1.0f + VARIANT(exp)(z * -2.0f));
}

static inline vec VARIANT(one_gelu_tanh_slope)(vec x) {
  vec z = 0.79788456080286536f * (x + 0.044715f * x * x * x);
  vec s = 1.0f / (1.0f + VARIANT(exp)(z * -2.0f));
  vec inner = 0.79788456080286536f * (1.0f + 0.134145f * x * x);
  return s + x * 2.0f * s * (1.0f - s) * inner;
}

static inline vec VARIANT(one_silu)(vec x) { return x / (1.0f + VARIANT(exp)(-x)); }

static inline vec VARIANT(one_silu_slope)(vec x) {
  vec s = 1.0f / (1.0f + VARIANT(exp)(-x));
  return s * (1.0f + x * (1.0f - s));
}

static inline vec VARIANT(one_relu)(vec x) { return SELECT(x < 0.0f, ALL(0.0f), x); }

/// The last elements, fewer than a vector, filled up with zeros.
static inline vec VARIANT(rest)(const float *x, int64_t count) {
  vec v = {0};
  for (int64_t i = 0; i < count; i++) v[i] = x[i];
  return v;
}

static inline void VARIANT(put)(float *y, vec v, int64_t count) {
  for (int64_t i = 0; i < count; i++) y[i] = v[i];
}

// A loop over y = f(a) or y = f(a, b), where a, b are vectors.
#define MAP1(expression)                         \
  int64_t k = 0;                                 \
  for (; k + VL <= n; k += VL) {                 \
    vec a = LOAD(first + k);                     \
    STORE(y + k, (expression));                  \
  }                                              \
  if (k < n) {                                   \
    vec a = VARIANT(rest)(first + k, n - k);        \
    VARIANT(put)(y + k, (expression), n - k);       \
  }
#define MAP2(expression)                         \
  int64_t k = 0;                                 \
  for (; k + VL <= n; k += VL) {                 \
    vec a = LOAD(first + k), b = LOAD(second + k); \
    STORE(y + k, (expression));                  \
  }                                              \
  if (k < n) {                                   \
    vec a = VARIANT(rest)(first + k, n - k);        \
    vec b = VARIANT(rest)(second + k, n - k);       \
    VARIANT(put)(y + k, (expression), n - k);       \
  }

static void VARIANT(scale)(
    const float *first, const float *second, float *y, int64_t n, float center, float factor,
    float shift, int32_t relu) {
  if (second && relu) {
    MAP2(VARIANT(one_relu)((a - center) * factor + shift + b))
  } else if (second) {
    MAP2((a - center) * factor + shift + b)
  } else if (relu) {
    MAP1(VARIANT(one_relu)((a - center) * factor + shift))
  } else {
    MAP1((a - center) * factor + shift)
  }
}

static void VARIANT(scale_gradient)(
    const float *first, const float *second, float *y, int64_t n, float average, float center,
    float pull, float factor) {
  MAP2((a - average - (b - center) * pull) * factor)
}

static void VARIANT(add)(const float *first, const float *second, float *y, int64_t n) {
  MAP2(a + b)
}

static void VARIANT(relu)(const float *first, float *y, int64_t n) { MAP1(VARIANT(one_relu)(a)) }

static void VARIANT(relu_gradient)(
    const float *first, const float *second, float *y, int64_t n) {
  MAP2(SELECT(b > 0.0f, a, ALL(0.0f)))
}

static void VARIANT(gelu)(const float *first, float *y, int64_t n) { MAP1(VARIANT(one_gelu)(a)) }

static void VARIANT(gelu_gradient)(
    const float *first, const float *second, float *y, int64_t n) {
  MAP2(a * VARIANT(one_gelu_slope)(b))
}

static void VARIANT(gelu_tanh)(const float *first, float *y, int64_t n) {
  MAP1(VARIANT(one_gelu_tanh)(a))
}

static void VARIANT(gelu_tanh_gradient)(
    const float *first, const float *second, float *y, int64_t n) {
  MAP2(a * VARIANT(one_gelu_tanh_slope)(b))
}

static void VARIANT(silu)(const float *first, float *y, int64_t n) { MAP1(VARIANT(one_silu)(a)) }

static void VARIANT(silu_gradient)(
    const float *first, const float *second, float *y, int64_t n) {
  MAP2(a * VARIANT(one_silu_slope)(b))
}

static void VARIANT(sgd)(
    float *p, const float *g, float *momentum, int64_t n, float rate, float sign, float decay,
    float keep, float share, int32_t nesterov) {
  int64_t k = 0;
  for (; k + VL <= n; k += VL) {
    vec value = LOAD(p + k);
    vec direction = LOAD(g + k) * sign + value * decay;
    if (momentum) {
      vec moved = LOAD(momentum + k) * keep + direction * share;
      STORE(momentum + k, moved);
      direction = nesterov ? direction + moved * keep : moved;
    }
    STORE(p + k, value - direction * rate);
  }
  for (; k < n; k++) {
    float direction = g[k] * sign + p[k] * decay;
    if (momentum) {
      momentum[k] = momentum[k] * keep + direction * share;
      direction = nesterov ? direction + momentum[k] * keep : momentum[k];
    }
    p[k] -= direction * rate;
  }
}

static void VARIANT(lerp)(float *y, const float *first, int64_t n, float weight) {
  const float *second = y;
  if (weight < 0.5f) {
    MAP2(b + weight * (a - b))
  } else {
    float rest = 1.0f - weight;
    MAP2(a - rest * (a - b))
  }
}

static void VARIANT(softmax)(const float *x, float *y, int64_t n) {
  float largest = -__builtin_inff();
  for (int64_t i = 0; i < n; i++)
    if (!(x[i] <= largest)) largest = x[i];
  if (largest == -__builtin_inff()) largest = __builtin_nanf("");
  vec sums = {0};
  int64_t k = 0;
  for (; k + VL <= n; k += VL) {
    vec value = VARIANT(exp)(LOAD(x + k) - largest);
    sums += value;
    STORE(y + k, value);
  }
  double sum = VARIANT(reduce)(sums);
  if (k < n) {
    vec value = VARIANT(exp)(VARIANT(rest)(x + k, n - k) - largest);
    VARIANT(put)(y + k, value, n - k);
    for (int64_t i = 0; i < n - k; i++) sum += value[i];
  }
  float factor = (float)(1 / sum);
  for (int64_t i = 0; i < n; i++) y[i] *= factor;
}

static void VARIANT(softmax_gradient)(const float *first, const float *second, float *y, int64_t n) {
  vec products = {0};
  int64_t i = 0;
  for (; i + VL <= n; i += VL) products += LOAD(first + i) * LOAD(second + i);
  double sum = VARIANT(reduce)(products);
  for (; i < n; i++) sum += (double)first[i] * second[i];
  float product = (float)sum;
  MAP2((a - product) * b)
}

#include "pooling_body.h"

#undef vec
#undef ints
#undef LOAD
#undef STORE
#undef ALL
#undef SELECT
#undef MAP1
#undef MAP2
#undef VL
