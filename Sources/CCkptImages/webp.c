// WebP by libwebp's decoder of animations, which Pillow uses for all files.

#include <string.h>
#include <webp/demux.h>

#include "result.h"

struct ck_image_result ck_webp_decode(
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
