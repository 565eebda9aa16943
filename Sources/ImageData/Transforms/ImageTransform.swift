internal import CkptPlatform
internal import CCkptImages

/// The transform from an image to a model's input.
///
/// The steps, in this order: crop and resize, mirror, ColorJitter, RandAugment, convert to float32
/// and normalize, erase; as in torchvision's reference presets.
public struct ImageTransform: Sendable, Hashable, Codable {
  /// How an image is brought to the size of a sample.
  public enum Framing: Sendable, Hashable, Codable {
    /// A random crop is resized.
    case randomResizedCrop(RandomResizedCrop)
    /// The image is resized so that the shorter side has this length, then its center is cropped.
    case resizeAndCenterCrop(shorterSide: Int)
    /// The image is resized to the sample's size, ignoring its aspect ratio.
    case resize
  }

  /// The size of a sample.
  public var size: PixelSize
  /// How images are brought to that size.
  public var framing: Framing
  /// The interpolation filter for resizing.
  public var filter: ResizeFilter
  /// The probability of mirroring horizontally.
  public var flipProbability: Double
  /// The random changes of brightness, contrast, saturation, and hue; nil for none.
  public var jitter: ColorJitter?
  /// The random color and shape operations; nil for none.
  public var augment: RandAugment?
  /// The conversion of bytes to float32.
  public var normalization: Normalization
  /// The random erasing; nil for none.
  public var erasing: RandomErasing?

  /// Creates a transform.
  public init(
    size: PixelSize, framing: Framing, filter: ResizeFilter = .bilinear,
    flipProbability: Double = 0,
    jitter: ColorJitter? = nil, augment: RandAugment? = nil,
    normalization: Normalization = Normalization(),
    erasing: RandomErasing? = nil
  ) {
    self.size = size
    self.framing = framing
    self.filter = filter
    self.flipProbability = flipProbability
    self.jitter = jitter
    self.augment = augment
    self.normalization = normalization
    self.erasing = erasing
  }

  /// torchvision's training preset: RandomResizedCrop, random horizontal flip, normalization.
  public static func training(size: Int = 224) -> ImageTransform {
    ImageTransform(
      size: PixelSize(size), framing: .randomResizedCrop(RandomResizedCrop()), flipProbability: 0.5)
  }

  /// torchvision's evaluation preset: Resize, CenterCrop, normalization.
  public static func evaluation(resize: Int = 256, size: Int = 224) -> ImageTransform {
    ImageTransform(size: PixelSize(size), framing: .resizeAndCenterCrop(shorterSide: resize))
  }

  /// The random decisions for one sample; they can be encoded and reused, here or in another
  /// program.
  public struct Decisions: Sendable, Hashable, Codable {
    /// The crop that is resized; nil if the transform does not crop at random.
    public var crop: PixelRectangle?
    /// Whether the image is mirrored horizontally.
    public var isFlipped: Bool
    /// The color and shape operations.
    public var augmentations: [Augmentation]
    /// The rectangle that is erased; nil for none.
    public var erasure: RandomErasing.Erasure?

    /// Creates decisions; by default the image is not changed at random.
    public init(
      crop: PixelRectangle? = nil, isFlipped: Bool = false, augmentations: [Augmentation] = [],
      erasure: RandomErasing.Erasure? = nil
    ) {
      self.crop = crop
      self.isFlipped = isFlipped
      self.augmentations = augmentations
      self.erasure = erasure
    }
  }

  /// Draws the decisions for an image of the given size.
  public func decisions(width: Int, height: Int, random: inout ImageRandom) -> Decisions {
    var made = Decisions()
    if case .randomResizedCrop(let crop) = framing {
      made.crop = crop.draw(width: width, height: height, random: &random)
    }
    if flipProbability > 0 { made.isFlipped = random.unit() < flipProbability }
    if let jitter { made.augmentations = jitter.draw(random: &random) }
    if let augment {
      made.augmentations += augment.draw(width: size.width, height: size.height, random: &random)
    }
    if let erasing { made.erasure = erasing.draw(size: size, random: &random) }
    return made
  }

  /// Throws `ImageError.badRequest` if a setting is invalid.
  func check() throws(ImageError) {
    try size.check()
    try normalization.check()
    if case .resizeAndCenterCrop(let side) = framing, side <= 0 {
      throw .badRequest("a shorter side of \(side) pixels")
    }
  }

  /// The sample as an image: all steps before the conversion to float32.
  ///
  /// - Throws: `ImageError.badRequest` if the decisions do not fit the image.
  public func picture(_ image: RGBImage, _ decisions: Decisions) throws(ImageError) -> RGBImage {
    var workshop = SampleWorkshop(self)
    let framed = try workshop.framed(image, decisions)
    return decisions.augmentations.reduce(
      decisions.isFlipped ? framed.flippedHorizontally() : framed
    ) { $1.applied(to: $0) }
  }

  /// The sample as float32 values of shape [3, height, width].
  ///
  /// - Throws: `ImageError.badRequest` if the decisions do not fit the image, or a setting is
  ///   invalid.
  public func values(_ image: RGBImage, _ decisions: Decisions) throws(ImageError) -> [Float] {
    try check()
    var workshop = SampleWorkshop(self)
    var values = [Float](repeating: 0, count: 3 * size.height * size.width)
    try values.withMutableSpan { target throws(ImageError) in
      try workshop.write(image, decisions, to: &target)
    }
    return values
  }
}

/// Computes samples, one after the other, reusing memory.
struct SampleWorkshop {
  private let transform: ImageTransform
  private let table: [Float]
  private var resizer = Resizer()

  init(_ transform: ImageTransform) {
    self.transform = transform
    table = transform.normalization.table
  }

  /// The image cropped and resized to the size of a sample.
  mutating func framed(
    _ image: RGBImage, _ decisions: ImageTransform.Decisions
  ) throws(ImageError) -> RGBImage {
    let (size, filter) = (transform.size, transform.filter)
    try size.check()
    switch transform.framing {
    case .resize:
      return resizer.resized(image, box: PixelRectangle(of: image), to: size, filter: filter)
    case .randomResizedCrop:
      let box = decisions.crop ?? PixelRectangle(of: image)
      guard box.isInside(image) else {
        throw .badRequest(
          "a crop at \(box.left), \(box.top) of \(box.width) x \(box.height) pixels of "
            + "\(image.width) x \(image.height)")
      }
      return resizer.resized(image, box: box, to: size, filter: filter)
    case .resizeAndCenterCrop(let side):
      let resized = resizer.resized(
        image, box: PixelRectangle(of: image), to: try image.shortened(to: side), filter: filter)
      return try resized.centerCropped(to: size)
    }
  }

  /// Writes the float32 values of a sample, of shape [3, height, width].
  mutating func write(
    _ image: RGBImage, _ decisions: ImageTransform.Decisions,
    to target: inout MutableSpan<Float>
  ) throws(ImageError) {
    var framed = try framed(image, decisions)
    var isFlipped = decisions.isFlipped
    if !decisions.augmentations.isEmpty {
      if isFlipped { framed = framed.flippedHorizontally() }
      isFlipped = false
      framed = decisions.augmentations.reduce(framed) { $1.applied(to: $0) }
    }
    framed.pixels.withUnsafeBufferPointer { pixels in
      table.withUnsafeBufferPointer { table in
        target.withUnsafeMutableBufferPointer { target in
          ck_pixels_to_planes(
            pixels.baseAddress, Int32(framed.width), Int32(framed.height), table.baseAddress,
            isFlipped ? 1 : 0, target.baseAddress)
        }
      }
    }
    if let erasure = decisions.erasure, let erasing = transform.erasing {
      let box = erasure.box
      guard box.top >= 0, box.left >= 0, box.height >= 0, box.width >= 0,
        box.top <= transform.size.height - box.height, box.left <= transform.size.width - box.width
      else { throw .badRequest("a rectangle to erase that is not inside the sample") }
      erasing.erase(erasure, in: &target, size: transform.size)
    }
  }
}
