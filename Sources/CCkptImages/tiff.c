// TIFF by libtiff. What the samples mean is the caller's to know.

#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

#include "result.h"

struct memory {
  const uint8_t *bytes;
  size_t count, place;
  struct ck_image_result result;
};

static tmsize_t read(thandle_t handle, void *target, tmsize_t count) {
  struct memory *memory = handle;
  size_t rest = memory->count - memory->place;
  if (count < 0) return 0;
  size_t given = (size_t)count < rest ? (size_t)count : rest;
  memcpy(target, memory->bytes + memory->place, given);
  memory->place += given;
  return (tmsize_t)given;
}
static tmsize_t write_nothing(thandle_t handle, void *source, tmsize_t count) {
  (void)handle, (void)source, (void)count;
  return 0;
}
static toff_t seek(thandle_t handle, toff_t offset, int from) {
  struct memory *memory = handle;
  uint64_t base = from == SEEK_SET ? 0 : from == SEEK_CUR ? memory->place : memory->count;
  // Offsets are unsigned, and wrap where they lead back.
  uint64_t place = base + offset;
  memory->place = place < memory->count ? (size_t)place : memory->count;
  return place;
}
static int close_nothing(thandle_t handle) {
  (void)handle;
  return 0;
}
static toff_t size(thandle_t handle) { return ((struct memory *)handle)->count; }
static int map(thandle_t handle, void **base, toff_t *count) {
  (void)handle, (void)base, (void)count;
  return 0;
}
static void unmap(thandle_t handle, void *base, toff_t count) { (void)handle, (void)base, (void)count; }

static int keep_error(TIFF *tiff, void *data, const char *module, const char *format, va_list arguments) {
  (void)tiff, (void)module;
  struct memory *memory = data;
  if (memory->result.status != CK_IMAGE_OK) return 1;
  memory->result.status = CK_IMAGE_DAMAGED;
  vsnprintf(memory->result.message, sizeof memory->result.message, format, arguments);
  return 1;
}
static int drop_warning(TIFF *tiff, void *data, const char *module, const char *format, va_list arguments) {
  (void)tiff, (void)data, (void)module, (void)format, (void)arguments;
  return 1;
}

static int decode_as_rgba(TIFF *tiff, const struct ck_tiff_layout *layout, uint8_t *samples) {
  TIFFRGBAImage image;
  char message[1024] = "";
  if (!TIFFRGBAImageOK(tiff, message) || !TIFFRGBAImageBegin(&image, tiff, 0, message)) return 0;
  image.orientation = image.req_orientation = ORIENTATION_TOPLEFT;
  int done = image.width == layout->width && image.height == layout->height &&
             TIFFRGBAImageGet(&image, (uint32_t *)samples, image.width, image.height);
  TIFFRGBAImageEnd(&image);
  return done;
}

static int decode_tiles(
    TIFF *tiff, const struct ck_tiff_layout *layout, size_t row_bytes, uint8_t *block, uint8_t *samples) {
  uint32_t width = 0, height = 0;
  if (!TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &width) || !TIFFGetField(tiff, TIFFTAG_TILELENGTH, &height)) return 0;
  size_t tile_row = (size_t)TIFFTileRowSize(tiff);
  // A tile begins with a whole byte of a row.
  if (!width || !height || (size_t)width * layout->bits_per_pixel != tile_row * 8) return 0;
  if (tile_row * height != (size_t)TIFFTileSize(tiff)) return 0;
  for (uint32_t plane = 0; plane < layout->planes; plane++) {
    for (uint64_t y = 0; y < layout->height; y += height) {
      for (uint64_t x = 0; x < layout->width; x += width) {
        memset(block, 0, tile_row * height);
        if (TIFFReadTile(tiff, block, (uint32_t)x, (uint32_t)y, 0, (uint16_t)plane) == -1) return 0;
        size_t start = x * layout->bits_per_pixel / 8;
        size_t given = tile_row < row_bytes - start ? tile_row : row_bytes - start;
        for (uint64_t row = 0; row < height && y + row < layout->height; row++) {
          uint8_t *target = samples + (plane * (size_t)layout->height + y + row) * row_bytes + start;
          memcpy(target, block + row * tile_row, given);
        }
      }
    }
  }
  return 1;
}

static int decode_strips(
    TIFF *tiff, const struct ck_tiff_layout *layout, size_t row_bytes, uint8_t *block, uint8_t *samples) {
  uint32_t rows = 0;
  if (!TIFFGetField(tiff, TIFFTAG_ROWSPERSTRIP, &rows) || rows > layout->height) rows = layout->height;
  size_t strip = (size_t)TIFFStripSize(tiff);
  if (!rows || (size_t)TIFFScanlineSize(tiff) != row_bytes || strip > row_bytes * rows) return 0;
  for (uint32_t plane = 0; plane < layout->planes; plane++) {
    for (uint64_t y = 0; y < layout->height; y += rows) {
      memset(block, 0, strip);
      uint32_t number = TIFFComputeStrip(tiff, (uint32_t)y, (uint16_t)plane);
      if (TIFFReadEncodedStrip(tiff, number, block, (tmsize_t)strip) == -1) return 0;
      uint64_t given = layout->height - y < rows ? layout->height - y : rows;
      memcpy(samples + (plane * (size_t)layout->height + y) * row_bytes, block, given * row_bytes);
    }
  }
  return 1;
}

static int decode(TIFF *tiff, const struct ck_tiff_layout *layout, uint8_t *samples) {
  uint32_t width = 0, height = 0;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height)) return 0;
  if (width != layout->width || height != layout->height) return 0;
  if (layout->jpeg_as_rgb) TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  if (layout->as_rgba) return decode_as_rgba(tiff, layout, samples);
  size_t row_bytes = ((size_t)width * layout->bits_per_pixel + 7) / 8;
  int tiled = TIFFIsTiled(tiff);
  tmsize_t block_bytes = tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
  if (block_bytes <= 0 || (size_t)block_bytes > layout->memory_limit) return 0;
  uint8_t *block = malloc((size_t)block_bytes);
  if (!block) return 0;
  int done = tiled ? decode_tiles(tiff, layout, row_bytes, block, samples)
                   : decode_strips(tiff, layout, row_bytes, block, samples);
  free(block);
  return done;
}

struct ck_image_result ck_tiff_decode(
    const uint8_t *bytes, size_t count, const struct ck_tiff_layout *layout, uint8_t *samples) {
  struct memory memory = {bytes, count, 0, {CK_IMAGE_OK, ""}};
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options) return result(CK_IMAGE_NO_MEMORY, NULL);
  TIFFOpenOptionsSetErrorHandlerExtR(options, keep_error, &memory);
  TIFFOpenOptionsSetWarningHandlerExtR(options, drop_warning, NULL);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)layout->memory_limit);
  TIFF *tiff = TIFFClientOpenExt(
      "image", "rC", &memory, read, write_nothing, seek, close_nothing, size, map, unmap, options);
  TIFFOpenOptionsFree(options);
  int done = tiff && decode(tiff, layout, samples);
  if (tiff) TIFFClose(tiff);
  if (done) return result(CK_IMAGE_OK, NULL);
  if (memory.result.status == CK_IMAGE_OK) return result(CK_IMAGE_DAMAGED, NULL);
  return memory.result;
}
