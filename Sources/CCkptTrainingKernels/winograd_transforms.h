// Winograd's transforms of tiles, included by winograd_body.h.

// The transforms in one direction, of vectors `stride` floats apart.

/// Bᵀ d: a tile of an image.
static inline __attribute__((always_inline)) void VARIANT(image_points)(const vec d[6], vec v[6]) {
  vec even = d[4] - BB * d[2], odd = PA * (d[3] - BB * d[1]);
  v[1] = even + odd;
  v[2] = even - odd;
  even = d[4] - AA * d[2], odd = PB * (d[3] - AA * d[1]);
  v[3] = even + odd;
  v[4] = even - odd;
  v[0] = AABB * d[0] - AA_BB * d[2] + d[4];
  v[5] = AABB * d[1] - AA_BB * d[3] + d[5];
}

/// G g: a kernel.
static inline __attribute__((always_inline)) void VARIANT(kernel_points)(const vec g[3], vec u[6]) {
  vec even = g[0] * (1 / NA) + g[2] * (AA / NA), odd = g[1] * (PA / NA);
  u[1] = even + odd;
  u[2] = even - odd;
  even = g[0] * (1 / NB) + g[2] * (BB / NB), odd = g[1] * (PB / NB);
  u[3] = even + odd;
  u[4] = even - odd;
  u[0] = g[0] * (1 / AABB);
  u[5] = g[2];
}

/// Gᵀ u: the gradient of a kernel.
static inline __attribute__((always_inline)) void VARIANT(kernel_slopes)(const vec u[6], vec g[3]) {
  vec a = u[1] + u[2], b = u[3] + u[4];
  g[0] = u[0] * (1 / AABB) + a * (1 / NA) + b * (1 / NB);
  g[1] = (u[1] - u[2]) * (PA / NA) + (u[3] - u[4]) * (PB / NB);
  g[2] = a * (AA / NA) + b * (BB / NB) + u[5];
}

/// Aᵀ m: outputs.
static inline __attribute__((always_inline)) void VARIANT(outputs_of)(const vec m[6], vec y[4]) {
  vec s = m[1] + m[2], d = m[1] - m[2], t = m[3] + m[4], e = m[3] - m[4];
  y[0] = m[0] + s + t;
  y[1] = PA * d + PB * e;
  y[2] = AA * s + BB * t;
  y[3] = (AA * PA) * d + (BB * PB) * e + m[5];
}

/// A y: the outputs' gradients.
static inline __attribute__((always_inline)) void VARIANT(slope_points)(const vec y[4], vec m[6]) {
  vec even = y[0] + AA * y[2], odd = PA * (y[1] + AA * y[3]);
  m[1] = even + odd;
  m[2] = even - odd;
  even = y[0] + BB * y[2], odd = PB * (y[1] + BB * y[3]);
  m[3] = even + odd;
  m[4] = even - odd;
  m[0] = y[0];
  m[5] = y[3];
}
