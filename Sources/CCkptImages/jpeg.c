// JPEG by libjpeg-turbo, with its defaults: slow integer DCT, fancy upsampling, its own conversion of colors.

#include <stdlib.h>

#include "jpeg_call.h"

// More scans than that are an attack: each makes the library go over the whole image.
enum { MAX_SCANS = 1000 };

struct decoder {
  struct jpeg_call call;
  struct jpeg_decompress_struct library;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  /// A row of four components; NULL for files of one or three.
  uint8_t *row;
};

static void watch_scans(j_common_ptr library) {
  struct decoder *decoder = library->client_data;
  if (!library->is_decompressor || decoder->library.input_scan_number <= MAX_SCANS) return;
  jpeg_end(&decoder->call, CK_IMAGE_DAMAGED, "more than 1000 scans");
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

/// Decodes; false where the file ends too early. Other errors leave by `call.escape`.
static int decode(struct decoder *decoder, uint32_t width, uint32_t height, uint8_t *pixels) {
  struct jpeg_decompress_struct *library = &decoder->library;
  int read;
  do {
    read = jpeg_read_header(library, FALSE);
  } while (read == JPEG_HEADER_TABLES_ONLY);
  if (read == JPEG_SUSPENDED) return 0;
  if (library->image_width != width || library->image_height != height) {
    jpeg_end(&decoder->call, CK_IMAGE_DAMAGED, "two headers that differ in size");
  }
  int gray = library->num_components == 1, four = library->num_components == 4;
  // The library repeats gray itself.
  library->out_color_space = four ? JCS_CMYK : JCS_RGB;
  if (gray && library->jpeg_color_space != JCS_GRAYSCALE) library->jpeg_color_space = JCS_GRAYSCALE;
  if (!jpeg_start_decompress(library)) return 0;
  if (library->output_components != (four ? 4 : 3) || library->output_width != width) {
    jpeg_end(&decoder->call, CK_IMAGE_UNSUPPORTED, "an unusual number of components");
  }
  if (four) decoder->row = malloc((size_t)width * 4);
  if (four && !decoder->row) jpeg_end(&decoder->call, CK_IMAGE_NO_MEMORY, NULL);
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
  jpeg_report_to(&decoder.call, (j_common_ptr)&decoder.library, CK_IMAGE_DAMAGED);
  decoder.progress.progress_monitor = watch_scans;
  decoder.source.init_source = begin;
  decoder.source.fill_input_buffer = no_more;
  decoder.source.skip_input_data = skip;
  decoder.source.resync_to_restart = jpeg_resync_to_restart;
  decoder.source.term_source = begin;
  decoder.source.next_input_byte = bytes;
  decoder.source.bytes_in_buffer = count;
  if (setjmp(decoder.call.escape) == 0) {
    jpeg_create_decompress(&decoder.library);
    decoder.library.src = &decoder.source;
    decoder.library.progress = &decoder.progress;
    if (!decode(&decoder, width, height, pixels)) decoder.call.result = result(CK_IMAGE_TRUNCATED, NULL);
  }
  jpeg_destroy_decompress(&decoder.library);
  free(decoder.row);
  return decoder.call.result;
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
