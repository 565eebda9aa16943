// Winograd's convolutions F(4×4, 3×3) (Lavin and Gray, arXiv:1509.09308): a tile of 6 × 6 pixels gives 4 × 4 outputs
// by 36 multiplications instead of 144. Polynomials are evaluated at 0, ±3/4, ±3/2 and ∞ rather than at 0, ±1, ±2 and
// ∞: all numbers are still exact, and errors are a third.
#include "CCkptTrainingKernels.h"
#include "InstructionSets.h"
#include "finish.h"
#include "transpose.h"

enum { STEP = 4, SIDE = 6, POINTS = SIDE * SIDE };
/// How many floats of pixels are laid out at a time.
enum { STRIP = 24 << 10 };

#define PA 0.75f
#define PB 1.5f
#define AA (PA * PA)
#define BB (PB * PB)
#define AABB (AA * BB)
#define AA_BB (AA + BB)
#define NA (2 * AA * (AA - BB))
#define NB (2 * BB * (BB - AA))

static inline int32_t tile_count(int32_t pixels) { return (pixels + STEP - 1) / STEP; }

#define KERNEL_AVX512 1
#define KERNEL_BODY "winograd_body.h"
#include "ForEachInstructionSet.h"

int32_t ct_channel_lanes(void) {
  static const int32_t lanes[] = {8, 16, 32};
  return lanes[instruction_set()];
}

static int64_t panels_of(int32_t channels) {
  return (channels + ct_channel_lanes() - 1) / ct_channel_lanes();
}

int64_t ct_winograd_points_count(int32_t channels, int64_t tiles) {
  return POINTS * (panels_of(channels) * tiles + 1) * ct_channel_lanes();
}

int64_t ct_winograd_kernels_count(const ct_winograd *w) {
  int64_t lanes = ct_channel_lanes();
  return POINTS * (panels_of(w->channels) * lanes + 1) * lanes;
}

int64_t ct_winograd_layout_count(const ct_winograd *w) {
  int64_t strips = 16 * (2 * SIDE) * ((int64_t)STEP * tile_count(w->output_width) + 2) + STRIP;
  int64_t gradient = (int64_t)POINTS * ct_channel_lanes() * ct_channel_lanes();
  return strips > gradient ? strips : gradient;
}

int64_t ct_winograd_scratch_count(const ct_winograd *w, int32_t block) {
  int64_t tiles = (int64_t)block * tile_count(w->output_width) + 8, lanes = ct_channel_lanes();
  return ct_winograd_points_count(w->channels, tiles) + ct_winograd_points_count(1, tiles) +
         POINTS * (lanes + 1) * lanes + ct_winograd_layout_count(w);
}

void ct_winograd_kernels(
    const ct_winograd *w, const float *weights, int32_t turned, int32_t first, int32_t last,
    float *packed) {
  int64_t count = ct_winograd_kernels_count(w);
  int32_t panels = (int32_t)panels_of(w->channels);
  for (int32_t panel = first; panel < last; panel++) {
    DISPATCH(winograd_kernels(
        w, weights, turned, panel, 0, panels, packed + panel * count, count / POINTS));
  }
}

void ct_winograd_convolve(
    const ct_winograd *w, const float *images, const float *weights, int32_t turned,
    const float *packed, const ct_finish *finish, float *output, int32_t first, int32_t last,
    int32_t first_panel, int32_t last_panel, int32_t block, float *scratch) {
  DISPATCH(winograd_convolve(
      w, images, weights, turned, packed, finish, output, first, last, first_panel, last_panel,
      block, scratch));
}

void ct_winograd_images(
    const ct_winograd *w, const float *images, int32_t first, int32_t last, int64_t length,
    float *to, float *scratch) {
  DISPATCH(winograd_images(w, images, first, last, length, to, scratch));
}

void ct_winograd_slopes(
    const ct_winograd *w, const float *gradient, int32_t first, int32_t last, int64_t length,
    float *to, float *scratch) {
  DISPATCH(winograd_slopes(w, gradient, first, last, length, to, scratch));
}

void ct_winograd_gradient(
    const ct_winograd *w, const float *images, const float *slopes, int32_t tiles, int64_t length,
    int32_t image_panel, int32_t slope_panel, int32_t adds, float *weights, float *scratch) {
  DISPATCH(winograd_gradient(
      w, images, slopes, tiles, length, image_panel, slope_panel, adds, weights, scratch));
}
