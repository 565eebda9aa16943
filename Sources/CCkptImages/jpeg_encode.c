// JPEG by libjpeg-turbo, with the settings that Pillow writes with: 4:2:0, the library's tables scaled by the quality.

#include "jpeg_call.h"

struct encoder {
  struct jpeg_call call;
  struct jpeg_compress_struct library;
  struct jpeg_destination_mgr target;
};

// A target of the caller's, which does not grow.
static void begin(j_compress_ptr library) { (void)library; }
static boolean no_more(j_compress_ptr library) {
  jpeg_end(library->client_data, CK_IMAGE_NO_MEMORY, "the buffer is too small");
}

struct ck_image_result ck_jpeg_encode(
    const uint8_t *pixels, uint32_t width, uint32_t height, int quality, uint8_t *bytes, size_t *count) {
  struct encoder encoder;
  memset(&encoder, 0, sizeof encoder);
  jpeg_report_to(&encoder.call, (j_common_ptr)&encoder.library, CK_IMAGE_UNSUPPORTED);
  encoder.target.init_destination = begin;
  encoder.target.empty_output_buffer = no_more;
  encoder.target.term_destination = begin;
  encoder.target.next_output_byte = bytes;
  encoder.target.free_in_buffer = *count;
  if (setjmp(encoder.call.escape) == 0) {
    jpeg_create_compress(&encoder.library);
    encoder.library.dest = &encoder.target;
    encoder.library.image_width = width;
    encoder.library.image_height = height;
    encoder.library.input_components = 3;
    encoder.library.in_color_space = JCS_RGB;
    jpeg_set_defaults(&encoder.library);
    jpeg_set_quality(&encoder.library, quality, TRUE);
    jpeg_start_compress(&encoder.library, TRUE);
    while (encoder.library.next_scanline < height) {
      JSAMPROW row = (JSAMPROW)(pixels + (size_t)encoder.library.next_scanline * width * 3);
      jpeg_write_scanlines(&encoder.library, &row, 1);
    }
    jpeg_finish_compress(&encoder.library);
    *count -= encoder.target.free_in_buffer;
  }
  jpeg_destroy_compress(&encoder.library);
  return encoder.call.result;
}
