/// The image formats that can be decoded. A file's format is determined by its first bytes, not by
/// its name.
public enum ImageFormat: String, Sendable, CaseIterable {
  case jpeg = "JPEG"
  case png = "PNG"
  case webP = "WebP"
  case tiff = "TIFF"
  case bmp = "BMP"
  /// PBM, PGM, and PPM, in text and binary form.
  case portableMap = "PNM"

  /// The format of a file, by its first bytes; nil if it is not supported.
  init?(_ bytes: FileBytes) {
    if bytes.has([0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if bytes.has([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else if bytes.has("RIFF"), bytes.has("WEBP", at: 8) {
      self = .webP
    } else if bytes.has([0x49, 0x49, 42, 0]) || bytes.has([0x4D, 0x4D, 0, 42]) {
      self = .tiff
    } else if bytes.has("BM") {
      self = .bmp
    } else if bytes.has("P"), let kind = bytes.byte(1), (0x31...0x36).contains(kind) {
      self = .portableMap
    } else {
      return nil
    }
  }
}
