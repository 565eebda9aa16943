#pragma once
// The loops that decide how fast a convolution is. Each exists for AVX-512, AVX2 and plain vectors; what
// the processor can do is found out at run time. Floats only, nothing is allocated, nothing is checked:
// `Convolution.swift` vouches for the sizes.
#include <stdint.h>

/// A convolution over images that have been padded already.
typedef struct {
  int32_t channels, height, width;  // of a padded image
  int32_t outputs;
  int32_t kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x;
  int32_t output_height, output_width;
} ct_convolution;

/// What becomes of sums before they are outputs: an output's `scale` times each, plus its `shift`, plus `addend`, which
/// lies as the outputs do, not below 0 if `relu`. Any of them may be null.
typedef struct {
  const float *scale, *shift, *addend;
  int32_t relu;
} ct_finish;

/// How many rows of weights are multiplied at a time, and lie side by side in a packed panel.
int32_t ct_panel_rows(void);
/// How many floats packed weights of rows × columns take.
int64_t ct_packed_count(int32_t rows, int32_t columns);
/// Packs weights for the way back, [outputs][channels][field]: as row-major weights of `channels` rows and
/// outputs · field columns, each field turned round.
void ct_pack_turned(
    const float *weights, int32_t outputs, int32_t channels, int32_t field, int32_t first,
    int32_t last, float *packed);
/// How many floats of scratch memory a thread needs for either direction.
int64_t ct_scratch_count(const ct_convolution *c);
/// Outputs of the pixels `first` to `last`, counted over all images.
///
/// images: padded, [batch][channels][height][width]; weights: [outputs][channels · kernel], or packed;
/// output: [batch][outputs][area].
void ct_convolve(
    const ct_convolution *c, const float *images, const float *weights, int32_t is_packed,
    const ct_finish *finish, float *output, int64_t first, int64_t last, int32_t first_panel,
    int32_t last_panel, float *scratch);
/// The gradients of some columns of the weights.
///
/// gradient: [batch][outputs][area]; weights: [outputs][channels · kernel].
void ct_weight_gradient(
    const ct_convolution *c, const float *images, const float *gradient, float *weights,
    int64_t pixels, int32_t first_column, int32_t last_column, float *scratch);
/// How many channels or outputs a panel has, where vectors are along the channels.
int32_t ct_channel_lanes(void);

/// A convolution of 1 × 1 kernels with a stride of 1.
typedef struct {
  int32_t batch, channels, outputs, area;
} ct_pointwise;

/// How many floats of scratch memory a thread needs for the gradients.
int64_t ct_pointwise_scratch_count(int32_t channels);
/// The gradients of the weights [outputs][channels] of some panels of `ct_channel_lanes()` outputs.
void ct_pointwise_gradient(
    const ct_pointwise *c, const float *images, const float *gradient, float *weights,
    int32_t first_panel, int32_t last_panel, float *scratch);

/// A convolution of 3 × 3 kernels with a stride of 1 by Winograd's F(4×4, 3×3); images are not padded.
///
/// Images are cut into tiles of 4 × 4 outputs; rows of tiles are counted over all images.
typedef struct {
  int32_t channels, height, width, outputs, output_height, output_width;
  int32_t padding_y, padding_x;
} ct_winograd;

/// How many floats the transformed kernels of a panel of outputs take.
int64_t ct_winograd_kernels_count(const ct_winograd *w);
/// How many floats the transformed tiles of some channels take.
int64_t ct_winograd_points_count(int32_t channels, int64_t tiles);
/// How many floats of scratch memory a thread needs to convolve `block` rows of tiles at a time, and for
/// anything else.
int64_t ct_winograd_scratch_count(const ct_winograd *w, int32_t block);
int64_t ct_winograd_layout_count(const ct_winograd *w);
/// Transforms the kernels of some panels of outputs.
///
/// weights: [outputs][channels][3][3]; `turned`: [channels][outputs][3][3], each kernel to be turned round,
/// as for the way back.
void ct_winograd_kernels(
    const ct_winograd *w, const float *weights, int32_t turned, int32_t first, int32_t last,
    float *packed);
/// Outputs of some panels in some rows of tiles, `block` rows at a time.
///
/// packed: the transformed kernels; where it is null they are transformed as they are needed, which is
/// better for few tiles.
void ct_winograd_convolve(
    const ct_winograd *w, const float *images, const float *weights, int32_t turned,
    const float *packed, const ct_finish *finish, float *output, int32_t first, int32_t last,
    int32_t first_panel, int32_t last_panel, int32_t block, float *scratch);
/// Transforms the tiles of some rows, of images and of outputs' gradients; `to` is where the first of them
/// goes in memory for `length` tiles.
void ct_winograd_images(
    const ct_winograd *w, const float *images, int32_t first, int32_t last, int64_t length,
    float *to, float *scratch);
void ct_winograd_slopes(
    const ct_winograd *w, const float *gradient, int32_t first, int32_t last, int64_t length,
    float *to, float *scratch);
/// The gradients that transformed tiles give the weights between two panels, added to what is there if `adds`.
void ct_winograd_gradient(
    const ct_winograd *w, const float *images, const float *slopes, int32_t tiles, int64_t length,
    int32_t image_panel, int32_t slope_panel, int32_t adds, float *weights, float *scratch);
/// One padded plane by one kernel; the convolution has one channel and one output.
void ct_depthwise(
    const ct_convolution *c, const float *image, const float *weights, float bias,
    float *output);
/// Adds what one padded plane gives to the gradients of its kernel.
void ct_depthwise_gradient(
    const ct_convolution *c, const float *image, const float *gradient, float *weights);

/// The largest of each window in one row of windows, and where in the plane it is; a NaN wins.
///
/// The windows cover the lines `first_line` to `last_line` and the columns `first[i]` to `last[i]`, none
/// of them empty; their beginnings are `stride` apart except at the edges.
void ct_max_row(
    const float *plane, int32_t width, int32_t first_line, int32_t last_line,
    const int32_t *first, const int32_t *last, int32_t count, int32_t stride, float *values,
    int32_t *places);

/// Tells the processor that a thread is waiting in a loop.
static inline void ct_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Elementwise functions and sums over runs of floats.

double ct_sum(const float *x, int64_t n);
/// Σ (x - center)².
double ct_squared_distance(const float *x, int64_t n, float center);
/// Σ g and Σ g (x - center).
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
/// passed = g where the rectifier's output is positive, else 0; Σ passed and Σ passed (x - center).
void ct_rectified_sums(
    const float *g, const float *output, const float *x, float *passed, int64_t n, float center,
    double result[2]);
/// y = g where the rectifier's output is positive, else 0; y may be g.
void ct_relu_gradient(const float *g, const float *output, float *y, int64_t n);
/// y = x Φ(x), and g times the slope of that.
void ct_gelu(const float *x, float *y, int64_t n);
void ct_gelu_gradient(const float *g, const float *x, float *y, int64_t n);
/// The same with Φ approximated by tanh.
void ct_gelu_tanh(const float *x, float *y, int64_t n);
void ct_gelu_tanh_gradient(const float *g, const float *x, float *y, int64_t n);
/// y = x / (1 + exp(-x)), and g times the slope of that.
void ct_silu(const float *x, float *y, int64_t n);
void ct_silu_gradient(const float *g, const float *x, float *y, int64_t n);
/// A step of gradient descent with momentum; `momentum` may be null.
///
/// d = sign g + decay p; m = keep m + share d; p = p - rate (nesterov ? d + keep m : m).
void ct_sgd(
    float *p, const float *g, float *momentum, int64_t n, float rate, float sign, float decay,
    float keep, float share, int32_t nesterov);
/// y = exp(x) / Σ exp(x).
void ct_softmax(const float *x, float *y, int64_t n);
/// d = (g - Σ g y) y.
void ct_softmax_gradient(const float *g, const float *y, float *d, int64_t n);
