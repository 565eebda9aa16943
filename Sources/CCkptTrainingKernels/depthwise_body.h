// The loops of depthwise convolutions, included by convolution_body.h.

/// One plane by one kernel.
static void VARIANT(depthwise)(
    const ct_convolution *c, const float *image, const float *weights, float bias,
    float *output) {
  uint8_t kind = c->stride_x == 1 ? 1 : c->stride_x == 2 ? 2 : 0;
  for (int32_t y = 0; y < c->output_height; y++) {
    const float *row = image + (int64_t)y * c->stride_y * c->width;
    int32_t x = 0;
    for (; x + VL <= c->output_width; x += VL) {
      int32_t offsets[VL];
      for (int32_t i = 0; i < VL; i++) offsets[i] = (x + i) * c->stride_x;
      vec sum = bias - (vec){0};
      for (int32_t ky = 0; ky < c->kernel_y; ky++) {
        const float *line = row + (int64_t)ky * c->dilation_y * c->width;
        for (int32_t kx = 0; kx < c->kernel_x; kx++) {
          sum += weights[ky * c->kernel_x + kx] *
                 VARIANT(pixels)(line + kx * c->dilation_x, offsets, kind);
        }
      }
      STORE(output + x, sum);
    }
    for (; x < c->output_width; x++) {
      float sum = bias;
      for (int32_t ky = 0; ky < c->kernel_y; ky++) {
        const float *line = row + (int64_t)ky * c->dilation_y * c->width + x * c->stride_x;
        for (int32_t kx = 0; kx < c->kernel_x; kx++) {
          sum += weights[ky * c->kernel_x + kx] * line[kx * c->dilation_x];
        }
      }
      output[x] = sum;
    }
    output += c->output_width;
  }
}

/// Adds what one plane gives to the gradients of its kernel.
static void VARIANT(depthwise_gradient)(
    const ct_convolution *c, const float *image, const float *gradient, float *weights) {
  uint8_t kind = c->stride_x == 1 ? 1 : c->stride_x == 2 ? 2 : 0;
  for (int32_t ky = 0; ky < c->kernel_y; ky++) {
    for (int32_t kx = 0; kx < c->kernel_x; kx++) {
      float total = 0;
      vec sums = (vec){0};
      for (int32_t y = 0; y < c->output_height; y++) {
        const float *row = image + ((int64_t)y * c->stride_y + ky * c->dilation_y) * c->width +
                           kx * c->dilation_x;
        const float *slopes = gradient + (int64_t)y * c->output_width;
        int32_t x = 0;
        for (; x + VL <= c->output_width; x += VL) {
          int32_t offsets[VL];
          for (int32_t i = 0; i < VL; i++) offsets[i] = (x + i) * c->stride_x;
          sums += LOAD(slopes + x) * VARIANT(pixels)(row, offsets, kind);
        }
        for (; x < c->output_width; x++) total += slopes[x] * row[x * c->stride_x];
      }
      weights[ky * c->kernel_x + kx] += total + VARIANT(total)(sums);
    }
  }
}
