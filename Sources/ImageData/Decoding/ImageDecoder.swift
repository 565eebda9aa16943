internal import CCkptImages
internal import CkptPlatform

/// Decodes image files to RGB, with the same pixels as Pillow's `Image.open(file).convert("RGB")`.
public struct ImageDecoder: Sendable, Hashable {
  /// The largest files and images that are decoded.
  public var limits: ImageLimits
  /// Whether images are rotated and mirrored by their EXIF orientation (Pillow's
  /// `ImageOps.exif_transpose`). torchvision does not do this. TIFF files are always transformed,
  /// as in Pillow.
  public var appliesOrientation: Bool

  /// Creates a decoder.
  public init(limits: ImageLimits = ImageLimits(), appliesOrientation: Bool = false) {
    self.limits = limits
    self.appliesOrientation = appliesOrientation
  }

  /// The properties in a file's header.
  public struct Description: Sendable, Hashable {
    /// The format, determined by the first bytes.
    public let format: ImageFormat
    /// The width and height in pixels as stored, before the orientation is applied.
    public let width: Int, height: Int
    /// The EXIF orientation, 1 to 8; 1 where there is none.
    public let orientation: Int
  }

  /// Decodes a file.
  ///
  /// - Throws: `ImageError` with the file's path.
  public func decode(_ path: String) throws(ImageError) -> RGBImage {
    try decode(try contents(of: path), name: path)
  }

  /// Decodes the bytes of a file; `name` is used in error messages.
  ///
  /// - Throws: `ImageError`.
  public func decode(_ bytes: [UInt8], name: String) throws(ImageError) -> RGBImage {
    let bytes = FileBytes(all: bytes, file: name)
    let header = try header(of: bytes)
    var image = try pixels(of: bytes, header: header)
    // Pillow applies a TIFF file's orientation once, whether or not it is asked to.
    let turns = header.format == .tiff || appliesOrientation
    if turns { image = image.oriented(header.orientation(in: bytes)) }
    return image
  }

  /// Reads a file's header without decoding the pixels.
  ///
  /// - Throws: `ImageError`, also if the image exceeds the limits.
  public func describe(_ path: String) throws(ImageError) -> Description {
    let bytes = FileBytes(all: try contents(of: path), file: path)
    let header = try header(of: bytes)
    return Description(
      format: header.format, width: header.width, height: header.height,
      orientation: header.orientation(in: bytes))
  }

  /// Reads the whole file, if its size is within the limits.
  private func contents(of path: String) throws(ImageError) -> [UInt8] {
    do {
      let file = try File(readingFrom: path)
      guard file.size <= limits.fileBytes else {
        throw ImageError.tooLarge(
          file: path, "\(file.size) bytes; \(limits.fileBytes) are allowed")
      }
      return try file.bytes(at: 0, count: file.size)
    } catch let error as ImageError {
      throw error
    } catch let error as FileError {
      throw .unreadable(file: path, error.problem)
    } catch {
      throw .unreadable(file: path, "\(error)")
    }
  }

  /// Parses the header and checks it against the limits.
  private func header(of bytes: FileBytes) throws(ImageError) -> ImageHeader {
    guard bytes.count <= limits.fileBytes else {
      throw .tooLarge(
        file: bytes.file, "\(bytes.count) bytes; \(limits.fileBytes) are allowed")
    }
    guard let format = ImageFormat(bytes) else { throw .unknownFormat(file: bytes.file) }
    let header: ImageHeader =
      switch format {
      case .jpeg: .jpeg(try JPEGHeader(bytes))
      case .png: .png(try PNGHeader(bytes))
      case .webP: .webP(try WebPHeader(bytes))
      case .tiff: .tiff(try TIFFHeader(bytes))
      case .bmp: .bmp(try BMPHeader(bytes))
      case .portableMap: .portableMap(try PortableMapHeader(bytes))
      }
    try limits.check(width: header.width, height: header.height, file: bytes.file)
    return header
  }

  /// Decodes the pixels, as stored.
  private func pixels(
    of bytes: FileBytes, header: ImageHeader
  ) throws(ImageError) -> RGBImage {
    switch header {
    case .jpeg(let header): try header.checkSize(of: bytes)
    case .png(let header): try header.checkSize(of: bytes)
    case .webP: break
    case .tiff(let header): return try header.decode(bytes, limits: limits)
    case .bmp(let header): return try header.decode(bytes)
    case .portableMap(let header): return try header.decode(bytes)
    }
    let decode =
      switch header.format {
      case .jpeg: ck_jpeg_decode
      case .png: ck_png_decode
      default: ck_webp_decode
      }
    return try RGBImage(width: header.width, height: header.height) {
      (target: UnsafeMutableBufferPointer<UInt8>) throws(ImageError) in
      let result = bytes.all.withUnsafeBufferPointer {
        decode(
          $0.baseAddress, $0.count, UInt32(header.width), UInt32(header.height), target.baseAddress)
      }
      try result.check(header.format, file: bytes.file)
    }
  }
}

/// The header of a file of any format.
enum ImageHeader {
  case jpeg(JPEGHeader)
  case png(PNGHeader)
  case webP(WebPHeader)
  case tiff(TIFFHeader)
  case bmp(BMPHeader)
  case portableMap(PortableMapHeader)

  var format: ImageFormat {
    switch self {
    case .jpeg: .jpeg
    case .png: .png
    case .webP: .webP
    case .tiff: .tiff
    case .bmp: .bmp
    case .portableMap: .portableMap
    }
  }

  var width: Int { sides.width }
  var height: Int { sides.height }

  private var sides: (width: Int, height: Int) {
    switch self {
    case .jpeg(let header): (header.width, header.height)
    case .png(let header): (header.width, header.height)
    case .webP(let header): (header.width, header.height)
    case .tiff(let header): (header.width, header.height)
    case .bmp(let header): (header.width, header.height)
    case .portableMap(let header): (header.width, header.height)
    }
  }

  /// The EXIF orientation, 1 to 8; 1 where there is none.
  func orientation(in bytes: FileBytes) -> Int {
    switch self {
    case .jpeg(let header): header.exif.flatMap { bytes.orientation(inEXIF: $0) } ?? 1
    case .png(let header): header.exif.flatMap { bytes.orientation(inEXIF: $0) } ?? 1
    case .webP(let header): header.exif.flatMap { bytes.orientation(inEXIF: $0) } ?? 1
    case .tiff(let header): header.orientation
    case .bmp, .portableMap: 1
    }
  }
}

extension ck_image_result {
  /// Throws the error that a C decoder reported, if any.
  func check(_ format: ImageFormat, file: String) throws(ImageError) {
    let text = withUnsafeBytes(of: message) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
    let said = text.isEmpty ? "" : ": \(text)"
    switch UInt32(bitPattern: status) {
    case CK_IMAGE_OK.rawValue: return
    case CK_IMAGE_TRUNCATED.rawValue: throw .truncated(file: file)
    case CK_IMAGE_UNSUPPORTED.rawValue:
      throw .unsupported(file: file, "\(format.rawValue) of this kind\(said)")
    case CK_IMAGE_NO_MEMORY.rawValue:
      throw .tooLarge(file: file, "no memory for it")
    default: throw .damaged(file: file, "damaged \(format.rawValue) data\(said)")
    }
  }
}
