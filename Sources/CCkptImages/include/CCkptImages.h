// The image libraries, behind calls that take a whole file in memory and fill a buffer of the caller's; and the loops
// over pixels. A pixel is three bytes: red, green, blue.

#ifndef CCKPT_IMAGES_H
#define CCKPT_IMAGES_H

#include <stddef.h>
#include <stdint.h>

/// How a call of a decoder ended.
enum ck_image_status {
  CK_IMAGE_OK = 0,
  /// The data contradicts itself or its header.
  CK_IMAGE_DAMAGED = 1,
  /// The data ends too early.
  CK_IMAGE_TRUNCATED = 2,
  /// The library cannot read images of this kind.
  CK_IMAGE_UNSUPPORTED = 3,
  /// Memory could not be had.
  CK_IMAGE_NO_MEMORY = 4,
};

enum { CK_IMAGE_MESSAGE = 200 };

/// How a call ended, and what the library says about it; the message is empty where it says nothing.
struct ck_image_result {
  int32_t status;
  char message[CK_IMAGE_MESSAGE];
};

/// Decodes a JPEG file of `width` x `height` pixels, as its header must say, to `pixels`.
struct ck_image_result ck_jpeg_decode(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels);

/// Encodes `pixels` as a JPEG file in `bytes`, which has room for `*count`; then `*count` is what the file takes.
/// `quality` is from 1 to 100.
struct ck_image_result ck_jpeg_encode(
    const uint8_t *pixels, uint32_t width, uint32_t height, int quality, uint8_t *bytes, size_t *count);

/// Decodes a PNG file of `width` x `height` pixels, as its header must say, to `pixels`. Alpha is dropped, 16 bits of
/// grey are clipped to 255, 16 bits of color are cut to the upper 8.
struct ck_image_result ck_png_decode(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels);

/// Decodes the first frame of a WebP file of `width` x `height` pixels, as its header must say, to `pixels`. Alpha is
/// dropped.
struct ck_image_result ck_webp_decode(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels);

/// What a caller knows of a TIFF file's first image.
struct ck_tiff_layout {
  uint32_t width, height;
  /// Bits of all samples of a pixel that lie together: those of one sample where each has a plane of its own.
  uint32_t bits_per_pixel;
  /// 1, or the number of planes.
  uint32_t planes;
  /// Whether the library is to turn YCbCr into pixels of four bytes (red, green, blue, alpha).
  uint32_t as_rgba;
  /// Whether the data is a JPEG stream in YCbCr, which the library is to turn into red, green, blue.
  uint32_t jpeg_as_rgb;
  /// The most bytes that the library may take at once.
  size_t memory_limit;
};

/// Decodes the samples of the first image of a TIFF file to `samples`: plane by plane, row by row, each row beginning
/// with a whole byte; samples of 16 and 32 bits in the machine's order.
struct ck_image_result ck_tiff_decode(
    const uint8_t *bytes, size_t count, const struct ck_tiff_layout *layout, uint8_t *samples);

/// Cyan, magenta, yellow, black to red, green, blue.
void ck_cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, size_t count, int inverted);

/// Weights of one direction of a resize: output `i` is the sum of `counts[i]` inputs from `starts[i]` on, times
/// `weights[i * stride ...]`, which are fixed point numbers with 22 bits.
struct ck_resize_weights {
  const int32_t *starts, *counts, *weights;
  int32_t stride;
};

/// Resizes rows: `rows` rows of `width_in` pixels, `stride_in` bytes apart, to `width_out` pixels each, close together.
/// `scratch` has room for 4 * `width_in` + 32 bytes.
void ck_resize_rows(
    const uint8_t *in, size_t stride_in, int32_t width_in, int32_t rows, uint8_t *out, int32_t width_out,
    struct ck_resize_weights weights, uint8_t *scratch);

/// Resizes columns: rows of `row_bytes` bytes, `stride_in` bytes apart, to `height_out` rows close together.
void ck_resize_columns(
    const uint8_t *in, size_t stride_in, int32_t row_bytes, uint8_t *out, int32_t height_out,
    struct ck_resize_weights weights);

/// Pixels to three planes of float32 through a table of 3 x 256 values; each row from right to left if `flipped`.
void ck_pixels_to_planes(
    const uint8_t *pixels, int32_t width, int32_t height, const float *table, int flipped, float *planes);

#endif
