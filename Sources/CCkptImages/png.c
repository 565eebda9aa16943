// PNG by libpng.

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "result.h"

struct decoder {
  const uint8_t *bytes;
  size_t count, place;
  png_structp library;
  png_infop info;
  uint8_t *rows;
  struct ck_image_result result;
};

static void fail(png_structp library, png_const_charp message) {
  struct decoder *decoder = png_get_error_ptr(library);
  if (decoder->result.status == CK_IMAGE_OK) decoder->result = result(CK_IMAGE_DAMAGED, message);
  png_longjmp(library, 1);
}
static void say_nothing(png_structp library, png_const_charp message) { (void)library, (void)message; }

static void read(png_structp library, png_bytep target, size_t count) {
  struct decoder *decoder = png_get_io_ptr(library);
  if (count > decoder->count - decoder->place) {
    decoder->result = result(CK_IMAGE_TRUNCATED, NULL);
    png_error(library, "");
  }
  memcpy(target, decoder->bytes + decoder->place, count);
  decoder->place += count;
}

/// A row as the library gives it, to pixels.
static void convert(
    const uint8_t *row, uint32_t width, int type, int depth, const uint8_t *palette, uint8_t *pixels) {
  for (uint32_t i = 0; i < width; i++, pixels += 3) {
    if (type == PNG_COLOR_TYPE_PALETTE) {
      memcpy(pixels, palette + row[i] * 3, 3);
    } else if (type & PNG_COLOR_MASK_COLOR) {
      memcpy(pixels, row + (size_t)i * (type & PNG_COLOR_MASK_ALPHA ? 4 : 3), 3);
    } else if (type & PNG_COLOR_MASK_ALPHA) {
      memset(pixels, row[(size_t)i * 2], 3);
    } else if (depth == 16) {
      memset(pixels, row[(size_t)i * 2] ? 255 : row[(size_t)i * 2 + 1], 3);
    } else {
      memset(pixels, row[i], 3);
    }
  }
}

static void decode(struct decoder *decoder, uint32_t width, uint32_t height, uint8_t *pixels) {
  png_structp library = decoder->library;
  png_infop info = decoder->info;
  png_set_read_fn(library, decoder, read);
  png_set_user_limits(library, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_chunk_cache_max(library, 1000);
  // Nothing but the palette and the pixels matters; in particular nothing is decompressed but them.
  png_set_keep_unknown_chunks(library, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_check_for_invalid_index(library, 0);
  png_read_info(library, info);
  if (png_get_image_width(library, info) != width || png_get_image_height(library, info) != height) {
    png_error(library, "two headers that differ in size");
  }
  int type = png_get_color_type(library, info), depth = png_get_bit_depth(library, info);
  // Indices without an entry are black, as in Pillow.
  uint8_t palette[256 * 3] = {0};
  if (type == PNG_COLOR_TYPE_PALETTE) {
    png_colorp entries = NULL;
    int entry_count = 0;
    if (png_get_PLTE(library, info, &entries, &entry_count) && entries) {
      for (int i = 0; i < entry_count && i < 256; i++) {
        palette[i * 3] = entries[i].red, palette[i * 3 + 1] = entries[i].green, palette[i * 3 + 2] = entries[i].blue;
      }
    }
    if (depth < 8) png_set_packing(library);
  } else if (depth < 8) {
    png_set_expand_gray_1_2_4_to_8(library);
  } else if (depth == 16 && type != PNG_COLOR_TYPE_GRAY) {
    png_set_strip_16(library);
  }
  int passes = png_set_interlace_handling(library);
  png_read_update_info(library, info);
  size_t row_bytes = png_get_rowbytes(library, info);
  decoder->rows = calloc(passes > 1 ? height : 1, row_bytes);
  if (!decoder->rows) {
    decoder->result = result(CK_IMAGE_NO_MEMORY, NULL);
    png_error(library, "");
  }
  int plain = type == PNG_COLOR_TYPE_RGB;
  for (int pass = 0; pass < passes; pass++) {
    for (uint32_t y = 0; y < height; y++) {
      uint8_t *target = pixels + (size_t)y * width * 3;
      if (plain) {
        png_read_row(library, target, NULL);
        continue;
      }
      uint8_t *row = decoder->rows + (passes > 1 ? y * row_bytes : 0);
      png_read_row(library, row, NULL);
      if (pass == passes - 1) convert(row, width, type, depth, palette, target);
    }
  }
}

struct ck_image_result ck_png_decode(
    const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, uint8_t *pixels) {
  struct decoder decoder = {.bytes = bytes, .count = count};
  decoder.library = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, fail, say_nothing);
  if (!decoder.library) return result(CK_IMAGE_NO_MEMORY, NULL);
  decoder.info = png_create_info_struct(decoder.library);
  if (!decoder.info) {
    png_destroy_read_struct(&decoder.library, NULL, NULL);
    return result(CK_IMAGE_NO_MEMORY, NULL);
  }
  if (setjmp(png_jmpbuf(decoder.library)) == 0) decode(&decoder, width, height, pixels);
  png_destroy_read_struct(&decoder.library, &decoder.info, NULL);
  free(decoder.rows);
  return decoder.result;
}
