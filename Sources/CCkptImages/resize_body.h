// The loops of resize.c, once for each instruction set.

static void VARIANT(resize_rows)(
    const uint8_t *in, size_t stride_in, int32_t width_in, int32_t rows, uint8_t *out, int32_t width_out,
    struct ck_resize_weights weights, uint8_t *scratch) {
  for (int32_t y = 0; y < rows; y++, in += stride_in) {
    // Four bytes a pixel, so that a pixel is one load.
    for (int32_t x = 0; x < width_in; x++) {
      scratch[x * 4] = in[x * 3], scratch[x * 4 + 1] = in[x * 3 + 1], scratch[x * 4 + 2] = in[x * 3 + 2];
      scratch[x * 4 + 3] = 0;
    }
    for (int32_t x = 0; x < width_out; x++, out += 3) {
      const uint8_t *pixel = scratch + (size_t)weights.starts[x] * 4;
      const int32_t *weight = weights.weights + (size_t)x * (size_t)weights.stride;
      int32_t count = weights.counts[x];
      lanes sums = {1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1), 0};
      for (int32_t i = 0; i < count; i++, pixel += 4) sums += pixel_lanes(pixel) * weight[i];
      uint32_t made = clip_lanes(sums);
      if (x + 1 < width_out) {
        // One byte too much, which the next pixel overwrites.
        memcpy(out, &made, 4);
      } else {
        memcpy(out, &made, 3);
      }
    }
  }
}

static void VARIANT(resize_columns)(
    const uint8_t *in, size_t stride_in, int32_t row_bytes, uint8_t *out, int32_t height_out,
    struct ck_resize_weights weights) {
  enum { BLOCK = 256 };
  for (int32_t y = 0; y < height_out; y++, out += row_bytes) {
    const uint8_t *first = in + (size_t)weights.starts[y] * stride_in;
    const int32_t *weight = weights.weights + (size_t)y * (size_t)weights.stride;
    int32_t count = weights.counts[y];
    for (int32_t start = 0; start < row_bytes; start += BLOCK) {
      int32_t length = row_bytes - start < BLOCK ? row_bytes - start : BLOCK;
      int32_t sums[BLOCK];
      for (int32_t x = 0; x < length; x++) sums[x] = 1 << (BITS - 1);
      for (int32_t i = 0; i < count; i++) {
        const uint8_t *row = first + (size_t)i * stride_in + start;
        int32_t factor = weight[i];
        for (int32_t x = 0; x < length; x++) sums[x] += row[x] * factor;
      }
      for (int32_t x = 0; x < length; x++) out[start + x] = clip(sums[x]);
    }
  }
}
