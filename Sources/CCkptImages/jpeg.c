// JPEG by libjpeg-turbo, with its defaults: slow integer DCT, fancy upsampling, its own conversion of colors.

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
// After <stdio.h>, which it needs.
#include "result.h"
#include <jpeglib.h>
#include <jerror.h>

// More scans than that are an attack: each makes the library go over the whole image.
enum { MAX_SCANS = 1000 };

struct decoder {
  struct jpeg_decompress_struct library;
  struct jpeg_source_mgr source;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  struct ck_image_result result;
  uint8_t *row;
};

static void fail(j_common_ptr library) {
  struct decoder *decoder = library->client_data;
  char message[JMSG_LENGTH_MAX];
  library->err->format_message(library, message);
  int memory = library->err->msg_code == JERR_OUT_OF_MEMORY;
  decoder->result = result(memory ? CK_IMAGE_NO_MEMORY : CK_IMAGE_DAMAGED, message);
  longjmp(decoder->escape, 1);
}
static void say_nothing(j_common_ptr library) { (void)library; }

static void watch_scans(j_common_ptr library) {
  struct decoder *decoder = library->client_data;
  if (!library->is_decompressor || decoder->library.input_scan_number <= MAX_SCANS) return;
  decoder->result = result(CK_IMAGE_DAMAGED, "more than 1000 scans");
  longjmp(decoder->escape, 1);
}

// A source whose end suspends the library; then the file is cut off.
static void begin(j_decompress_ptr library) { (void)library; }
static boolean no_more(j_decompress_ptr library) {
  (void)library;
  return FALSE;
}
static void skip(j_decompress_ptr library, long count) {
  if (count <= 0) return;
  struct jpeg_source_mgr *source = library->src;
  size_t skipped = (size_t)count < source->bytes_in_buffer ? (size_t)count : source->bytes_in_buffer;
  source->next_input_byte += skipped;
  source->bytes_in_buffer -= skipped;
}

/// Decodes; false where the file ends too early. Errors leave by `escape`.
static int decode(struct decoder *decoder, uint32_t width, uint32_t height, uint8_t *pixels) {
  struct jpeg_decompress_struct *library = &decoder->library;
  int read;
  do {
    read = jpeg_read_header(library, FALSE);
  } while (read == JPEG_HEADER_TABLES_ONLY);
  if (read == JPEG_SUSPENDED) return 0;
  if (library->image_width != width || library->image_height != height) {
    decoder->result = result(CK_IMAGE_DAMAGED, "two headers that differ in size");
    longjmp(decoder->escape, 1);
  }
  int gray = library->num_components == 1, four = library->num_components == 4;
  // The library repeats grey itself.
  library->out_color_space = four ? JCS_CMYK : JCS_RGB;
  if (gray && library->jpeg_color_space != JCS_GRAYSCALE) library->jpeg_color_space = JCS_GRAYSCALE;
  if (!jpeg_start_decompress(library)) return 0;
  if (library->output_components != (four ? 4 : 3) || library->output_width != width) {
    decoder->result = result(CK_IMAGE_UNSUPPORTED, "an unusual number of components");
    longjmp(decoder->escape, 1);
  }
  if (four) decoder->row = malloc((size_t)width * 4);
  if (four && !decoder->row) {
    decoder->result = result(CK_IMAGE_NO_MEMORY, NULL);
    longjmp(decoder->escape, 1);
  }
  while (library->output_scanline < height) {
    uint8_t *target = pixels + (size_t)library->output_scanline * width * 3;
    JSAMPROW row = four ? decoder->row : target;
    if (jpeg_read_scanlines(library, &row, 1) != 1) return 0;
    // Files with four components hold inverted values, as Adobe's programs write them.
    if (four) ck_cmyk_to_rgb(row, target, width, 1);
  }
  // All pixels are there; that the end marker is missing does not matter.
  (void)jpeg_finish_decompress(library);
  return 1;
}

struct ck_image_result ck_jpeg_decode(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels) {
  struct decoder decoder;
  memset(&decoder, 0, sizeof decoder);
  decoder.library.client_data = &decoder;
  decoder.library.err = jpeg_std_error(&decoder.errors);
  decoder.errors.error_exit = fail;
  decoder.errors.output_message = say_nothing;
  decoder.progress.progress_monitor = watch_scans;
  decoder.source.init_source = begin;
  decoder.source.fill_input_buffer = no_more;
  decoder.source.skip_input_data = skip;
  decoder.source.resync_to_restart = jpeg_resync_to_restart;
  decoder.source.term_source = begin;
  decoder.source.next_input_byte = bytes;
  decoder.source.bytes_in_buffer = count;
  if (setjmp(decoder.escape) == 0) {
    jpeg_create_decompress(&decoder.library);
    // jpeg_create_decompress keeps `err` and `client_data` alone.
    decoder.library.src = &decoder.source;
    decoder.library.progress = &decoder.progress;
    if (!decode(&decoder, width, height, pixels)) decoder.result = result(CK_IMAGE_TRUNCATED, NULL);
  }
  jpeg_destroy_decompress(&decoder.library);
  free(decoder.row);
  return decoder.result;
}

static inline uint8_t clip(int value) { return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value; }

void ck_cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, size_t count, int inverted) {
  for (size_t i = 0; i < count; i++, cmyk += 4, rgb += 3) {
    int flip = inverted ? 255 : 0, white = 255 - (cmyk[3] ^ flip);
    for (int c = 0; c < 3; c++) {
      // The product by 255, rounded.
      int product = (cmyk[c] ^ flip) * white + 128;
      rgb[c] = clip(white - (((product >> 8) + product) >> 8));
    }
  }
}
