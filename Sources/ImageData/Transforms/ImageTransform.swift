internal import CkptPlatform
internal import CCkptImages

/// What becomes of a picture before a model sees it.
///
/// In this order: a part of it is resized (or it is resized and its middle cut out), mirrored, changed by
/// ColorJitter and RandAugment, made numbers, normalized, and partly erased; as torchvision's reference presets do it.
public struct ImageTransform: Sendable, Hashable, Codable {
  /// How a picture gets the sides of a sample.
  public enum Framing: Sendable, Hashable, Codable {
    /// A random part, resized.
    case randomResizedCrop(RandomResizedCrop)
    /// Resized so that the shorter side is this long, then the middle.
    case resizeAndCenterCrop(shorterSide: Int)
    /// Resized to the sides of the sample, whatever its own.
    case resize
  }

  /// The sides of a sample.
  public var size: PixelSize
  /// How a picture gets them.
  public var framing: Framing
  /// How pixels are mixed when it is resized.
  public var filter: ResizeFilter
  /// How likely left and right are exchanged.
  public var flipProbability: Double
  /// Changes of colors.
  public var jitter: ColorJitter?
  /// Changes of colors and shape.
  public var augment: RandAugment?
  /// Bytes to numbers.
  public var normalization: Normalization
  /// What is overwritten.
  public var erasing: RandomErasing?

  /// A transform.
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

  /// torchvision's training preset: RandomResizedCrop, flip, normalize.
  public static func training(size: Int = 224) -> ImageTransform {
    ImageTransform(
      size: PixelSize(size), framing: .randomResizedCrop(RandomResizedCrop()), flipProbability: 0.5)
  }

  /// torchvision's evaluation preset: Resize, CenterCrop, normalize.
  public static func evaluation(resize: Int = 256, size: Int = 224) -> ImageTransform {
    ImageTransform(size: PixelSize(size), framing: .resizeAndCenterCrop(shorterSide: resize))
  }

  /// What chance decided for one sample; it can be written down and used again, here and elsewhere.
  public struct Decisions: Sendable, Hashable, Codable {
    /// The part of the picture that is resized, where it is random.
    public var crop: PixelRectangle?
    /// Whether left and right are exchanged.
    public var isFlipped: Bool
    /// Changes of colors and shape.
    public var augmentations: [Augmentation]
    /// What is overwritten.
    public var erasure: RandomErasing.Erasure?

    /// Decisions; by default nothing is changed.
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

  /// Draws what chance decides for a picture of these sides.
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

  /// Refuses what makes no sense.
  func check() throws(ImageError) {
    try size.check()
    try normalization.check()
    if case .resizeAndCenterCrop(let side) = framing, side <= 0 {
      throw .badRequest("a shorter side of \(side) pixels")
    }
  }

  /// The sample as a picture, before it becomes numbers.
  ///
  /// - Throws: `ImageError` where the decisions do not fit the picture.
  public func picture(_ image: RGBImage, _ decisions: Decisions) throws(ImageError) -> RGBImage {
    var workshop = SampleWorkshop(self)
    let framed = try workshop.framed(image, decisions)
    return decisions.augmentations.reduce(
      decisions.isFlipped ? framed.flippedHorizontally() : framed
    ) { $1.applied(to: $0) }
  }

  /// The sample as numbers: three planes of float32.
  ///
  /// - Throws: `ImageError` where the decisions do not fit the picture.
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

/// Makes samples, one after the other, in memory that is used again.
struct SampleWorkshop {
  private let transform: ImageTransform
  private let table: [Float]
  private var resizer = Resizer()

  init(_ transform: ImageTransform) {
    self.transform = transform
    table = transform.normalization.table
  }

  /// The picture with the sides of a sample.
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

  /// Writes the numbers of a sample: three planes.
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
