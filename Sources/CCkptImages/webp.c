// WebP by libwebp; files of several frames by its decoder of animations.

#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include "result.h"

static struct ck_image_result decode_still(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return result(CK_IMAGE_UNSUPPORTED, "another version of libwebp");
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = pixels;
  config.output.u.RGBA.stride = (int)(width * 3);
  config.output.u.RGBA.size = (size_t)width * height * 3;
  switch (WebPDecode(bytes, count, &config)) {
    case VP8_STATUS_OK: return result(CK_IMAGE_OK, NULL);
    case VP8_STATUS_OUT_OF_MEMORY: return result(CK_IMAGE_NO_MEMORY, NULL);
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return result(CK_IMAGE_TRUNCATED, NULL);
    default: return result(CK_IMAGE_DAMAGED, NULL);
  }
}

static struct ck_image_result decode_first_frame(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels) {
  WebPAnimDecoderOptions options;
  if (!WebPAnimDecoderOptionsInit(&options)) return result(CK_IMAGE_UNSUPPORTED, "another version of libwebp");
  options.color_mode = MODE_RGBA;
  WebPData data = {bytes, count};
  WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
  if (!decoder) return result(CK_IMAGE_DAMAGED, NULL);
  WebPAnimInfo info;
  uint8_t *canvas = NULL;
  int time = 0;
  struct ck_image_result ended = result(CK_IMAGE_OK, NULL);
  if (!WebPAnimDecoderGetInfo(decoder, &info) || info.canvas_width != width || info.canvas_height != height) {
    ended = result(CK_IMAGE_DAMAGED, "two headers that differ in size");
  } else if (!WebPAnimDecoderGetNext(decoder, &canvas, &time) || !canvas) {
    ended = result(CK_IMAGE_DAMAGED, NULL);
  } else {
    for (size_t i = 0; i < (size_t)width * height; i++) memcpy(pixels + i * 3, canvas + i * 4, 3);
  }
  WebPAnimDecoderDelete(decoder);
  return ended;
}

struct ck_image_result ck_webp_decode(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels) {
  WebPBitstreamFeatures features;
  VP8StatusCode status = WebPGetFeatures(bytes, count, &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) return result(CK_IMAGE_TRUNCATED, NULL);
  if (status != VP8_STATUS_OK) return result(CK_IMAGE_DAMAGED, NULL);
  if (features.width != (int)width || features.height != (int)height) {
    return result(CK_IMAGE_DAMAGED, "two headers that differ in size");
  }
  return features.has_animation ? decode_first_frame(bytes, count, width, height, pixels)
                                : decode_still(bytes, count, width, height, pixels);
}
