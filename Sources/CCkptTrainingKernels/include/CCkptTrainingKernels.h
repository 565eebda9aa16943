#pragma once
// The loops that take most of the time of training, for float32. Each is compiled for AVX-512, AVX2 and the baseline;
// the best one that the processor has is called. Nothing is allocated and nothing is checked: callers guarantee the
// sizes.
#include <stdint.h>

/// A convolution over images that have been padded already.
typedef struct {
  int32_t channels, height, width;  // of a padded image
  int32_t outputs;
  int32_t kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x;
  int32_t output_height, output_width;
} ct_convolution;

/// What is applied to a convolution's sums before they are written: times the output channel's `scale`, plus its
/// `shift`, plus `addend`, which has the outputs' layout, through max(x, 0) if `relu`. Any pointer may be null.
typedef struct {
  const float *scale, *shift, *addend;
  int32_t relu;
} ct_finish;

/// The number of rows of weights in a packed panel, which are multiplied at a time.
int32_t ct_panel_rows(void);
/// The number of floats of packed weights of rows × columns.
int64_t ct_packed_count(int32_t rows, int32_t columns);
/// Packs weights [outputs][channels][field] for the gradients of images: as row-major weights of `channels` rows and
/// outputs · field columns, each field reversed.
void ct_pack_turned(
    const float *weights, int32_t outputs, int32_t channels, int32_t field, int32_t first,
    int32_t last, float *packed);
/// The number of floats of scratch memory that a thread needs, for outputs and for gradients.
int64_t ct_scratch_count(const ct_convolution *c);
/// Computes the outputs of the pixels from `first` to `last`, counted over all images.
///
/// images: padded, [batch][channels][height][width]; weights: [outputs][channels · kernel], or packed;
/// output: [batch][outputs][area].
void ct_convolve(
    const ct_convolution *c, const float *images, const float *weights, int32_t is_packed,
    const ct_finish *finish, float *output, int64_t first, int64_t last, int32_t first_panel,
    int32_t last_panel, float *scratch);
/// Computes the gradients of some columns of the weights.
///
/// gradient: [batch][outputs][area]; weights: [outputs][channels · kernel].
void ct_weight_gradient(
    const ct_convolution *c, const float *images, const float *gradient, float *weights,
    int64_t pixels, int32_t first_column, int32_t last_column, float *scratch);
/// The number of channels or outputs in a panel, where vectors go along the channels.
int32_t ct_channel_lanes(void);

/// A convolution of 1 × 1 kernels with a stride of 1.
typedef struct {
  int32_t batch, channels, outputs, area;
} ct_pointwise;

/// The number of floats of scratch memory that a thread needs for the gradients.
int64_t ct_pointwise_scratch_count(int32_t channels);
/// Computes the gradients of the weights [outputs][channels] of some panels of `ct_channel_lanes()` outputs.
void ct_pointwise_gradient(
    const ct_pointwise *c, const float *images, const float *gradient, float *weights,
    int32_t first_panel, int32_t last_panel, float *scratch);

/// A convolution of 3 × 3 kernels with a stride of 1 by Winograd's F(4×4, 3×3) (Lavin and Gray, arXiv:1509.09308);
/// images are not padded.
///
/// Images are cut into tiles of 4 × 4 outputs; rows of tiles are counted over all images.
typedef struct {
  int32_t channels, height, width, outputs, output_height, output_width;
  int32_t padding_y, padding_x;
} ct_winograd;

/// The number of floats of the transformed kernels of a panel of outputs.
int64_t ct_winograd_kernels_count(const ct_winograd *w);
/// The number of floats of the transformed tiles of some channels.
int64_t ct_winograd_points_count(int32_t channels, int64_t tiles);
/// The number of floats of scratch memory that a thread needs to convolve `block` rows of tiles at a time, and for the
/// other functions.
int64_t ct_winograd_scratch_count(const ct_winograd *w, int32_t block);
int64_t ct_winograd_layout_count(const ct_winograd *w);
/// Transforms the kernels of some panels of outputs.
///
/// weights: [outputs][channels][3][3]; if `turned`, [channels][outputs][3][3] with each kernel reversed, as for the
/// gradients of images.
void ct_winograd_kernels(
    const ct_winograd *w, const float *weights, int32_t turned, int32_t first, int32_t last,
    float *packed);
/// Computes the outputs of some panels in some rows of tiles, `block` rows at a time.
///
/// packed: the transformed kernels; if it is null, kernels are transformed when they are needed, which is faster for
/// few tiles.
void ct_winograd_convolve(
    const ct_winograd *w, const float *images, const float *weights, int32_t turned,
    const float *packed, const ct_finish *finish, float *output, int32_t first, int32_t last,
    int32_t first_panel, int32_t last_panel, int32_t block, float *scratch);
/// Transforms the tiles of some rows, of images or of the outputs' gradients; `to` is the address of the first one in
/// memory for `length` tiles.
void ct_winograd_images(
    const ct_winograd *w, const float *images, int32_t first, int32_t last, int64_t length,
    float *to, float *scratch);
void ct_winograd_slopes(
    const ct_winograd *w, const float *gradient, int32_t first, int32_t last, int64_t length,
    float *to, float *scratch);
/// Computes the gradients of the weights between two panels from transformed tiles; they are added to `weights` if
/// `adds`.
void ct_winograd_gradient(
    const ct_winograd *w, const float *images, const float *slopes, int32_t tiles, int64_t length,
    int32_t image_panel, int32_t slope_panel, int32_t adds, float *weights, float *scratch);
/// Convolves one padded plane with one kernel; the convolution has one channel and one output.
void ct_depthwise(
    const ct_convolution *c, const float *image, const float *weights, float bias,
    float *output);
/// Adds the gradients of a kernel from one padded plane to `weights`.
void ct_depthwise_gradient(
    const ct_convolution *c, const float *image, const float *gradient, float *weights);

/// The largest element of each window in one row of windows, and its index in the plane; a NaN counts as the largest.
///
/// Window i covers the lines from `first_line` to `last_line` and the columns from `first[i]` to `last[i]` and is not
/// empty; windows begin `stride` columns apart except at the edges.
void ct_max_row(
    const float *plane, int32_t width, int32_t first_line, int32_t last_line,
    const int32_t *first, const int32_t *last, int32_t count, int32_t stride, float *values,
    int32_t *indices);

/// Tells the processor that this thread waits in a loop.
static inline void ct_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Elementwise functions and sums over n contiguous floats.

/// Σ x.
double ct_sum(const float *x, int64_t n);
/// Σ (x - center)².
double ct_squared_distance(const float *x, int64_t n, float center);
/// result is Σ g and Σ g (x - center).
void ct_sum_and_product(const float *g, const float *x, int64_t n, float center, double result[2]);
/// y = (x - center) factor + shift + addend, not below 0 if `relu`; `addend` may be null.
void ct_scale(
    const float *x, const float *addend, float *y, int64_t n, float center, float factor,
    float shift, int32_t relu);
/// y = (g - average - (x - center) pull) factor; y may be g.
void ct_scale_gradient(
    const float *g, const float *x, float *y, int64_t n, float average, float center, float pull,
    float factor);
/// y = a + b.
void ct_add(const float *a, const float *b, float *y, int64_t n);
/// y = max(x, 0); a NaN stays one.
void ct_relu(const float *x, float *y, int64_t n);
/// passed = g where the rectifier's output is positive, else 0; result is Σ passed and Σ passed (x - center).
void ct_relu_sums(
    const float *g, const float *output, const float *x, float *passed, int64_t n, float center,
    double result[2]);
/// y = g where the rectifier's output is positive, else 0; y may be g.
void ct_relu_gradient(const float *g, const float *output, float *y, int64_t n);
/// y = x Φ(x), where Φ is the distribution function of the standard normal distribution; and g times its derivative.
void ct_gelu(const float *x, float *y, int64_t n);
void ct_gelu_gradient(const float *g, const float *x, float *y, int64_t n);
/// The same with Φ approximated by tanh.
void ct_gelu_tanh(const float *x, float *y, int64_t n);
void ct_gelu_tanh_gradient(const float *g, const float *x, float *y, int64_t n);
/// y = x / (1 + exp(-x)); and g times its derivative.
void ct_silu(const float *x, float *y, int64_t n);
void ct_silu_gradient(const float *g, const float *x, float *y, int64_t n);
/// A step of gradient descent with momentum; `momentum` may be null.
///
/// d = sign g + decay p; m = keep m + share d; p = p - rate (nesterov ? d + keep m : m).
void ct_sgd(
    float *p, const float *g, float *momentum, int64_t n, float rate, float sign, float decay,
    float keep, float share, int32_t nesterov);
/// y = y + weight (x - y); for weights from 0.5 on y = x - (1 - weight) (x - y), which is exact at 1.
void ct_lerp(float *y, const float *x, int64_t n, float weight);
/// y = exp(x) / Σ exp(x).
void ct_softmax(const float *x, float *y, int64_t n);
/// d = (g - Σ g y) y.
void ct_softmax_gradient(const float *g, const float *y, float *d, int64_t n);
