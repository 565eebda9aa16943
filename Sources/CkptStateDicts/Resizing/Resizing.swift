internal import CkptPlatform
internal import CkptPatterns
internal import CkptText
internal import CkptBytes
internal import CkptTensors

/// A tensor that was resized.
public struct Resized: Sendable, Hashable {
  /// The tensor's key.
  public let key: String
  /// The rule that resized it, written as `KEY=MODE`.
  public let rule: String
  /// The shape before; nil for a tensor that was drawn anew.
  public let found: [Int]?
  /// The shape after.
  public let shape: [Int]
}

extension StateDict {
  /// A copy in which tensors are resized to the shapes that `base` has for their keys, where a rule
  /// matches.
  ///
  /// Tensors are lazy as before, except that interpolated ones and input convolutions, which are
  /// small, are held in memory. Of several rules for a key the first counts.
  /// - Parameters:
  ///   - base: the state dict whose shapes must be met.
  ///   - seed: what fresh values depend on: they are those that PyTorch gives after
  ///     `torch.manual_seed(seed)` when it initializes the layers in the base's order.
  /// - Returns: the state dict, what was changed, and the rules that no key of the base has to do
  ///   with.
  /// - Throws: `ResizeError.impossible` for a value that cannot be made to fit;
  ///   `DerivedWeightError.noNumbers` for a part of a weight; what reading throws.
  public func resized(
    toFit base: StateDict, _ rules: [ResizeRule], seed: UInt64 = 0
  ) throws -> (result: StateDict, resized: [Resized], unmatched: [KeyReport.Unmatched]) {
    var isHit = [Bool](repeating: false, count: rules.count)
    let gate = NumberGate(self)
    var result = self
    var done: [Resized] = []
    var initializer = DefaultInitializer(base, seed: seed)
    for (key, value) in base {
      guard let number = rules.firstIndex(where: { $0.keys.matches(key) }) else { continue }
      isHit[number] = true
      let rule = rules[number]
      guard let wanted = value.tensor else {
        throw ResizeError.impossible(key: key, "the base has no tensor there")
      }
      if rule.mode == .reinitialize {
        result[key] = try initializer.tensor(for: key, like: wanted)
        done.append(Resized(key: key, rule: rule.written, found: nil, shape: wanted.shape))
        continue
      }
      guard let own = self[key], own.shape != wanted.shape else { continue }
      if let weight = gate.weight(of: key) {
        throw DerivedWeightError.noNumbers(operation: "resize", input: "", [weight])
      }
      result[key] = try own.resized(like: wanted, rule.mode, key)
      done.append(
        Resized(key: key, rule: rule.written, found: own.shape, shape: wanted.shape))
    }
    let unmatched = zip(rules, isHit).filter { !$1 }.map { rule, _ in
      KeyReport.Unmatched(
        rule: .resize(rule),
        nearest: NearestKeys.nearest(to: rule.keys.text, in: base.keys))
    }
    return (result, done, unmatched)
  }
}

extension Tensor {
  /// More elements than this are not held in memory.
  private static let memoryLimit = 64 << 20

  fileprivate func resized(like wanted: Tensor, _ mode: ResizeMode, _ key: String) throws -> Tensor
  {
    guard !isMeta, !wanted.isMeta else {
      throw ResizeError.impossible(key: key, "a tensor on the meta device has no elements")
    }
    switch mode {
    case .bicubic, .channels:
      guard elementCount <= Self.memoryLimit, wanted.elementCount <= Self.memoryLimit else {
        throw ResizeError.impossible(key: key, "the tensor is too large to be held in memory")
      }
    default: break
    }
    switch mode {
    case .bicubic(let prefix, let from, let to):
      return try positions(like: wanted, prefix: prefix, from: from, to: to, key)
    case .channels: return try inputChannels(like: wanted, key)
    case .pad, .padWithZeros: return try padded(like: wanted, withZeros: mode == .padWithZeros, key)
    case .crop:
      try checkRows(like: wanted, key)
      guard wanted.shape[0] <= shape[0] else {
        throw ResizeError.impossible(
          key: key, "crop leaves rows out, and \(shape) has fewer than \(wanted.shape)")
      }
      return try sliced(0..<wanted.shape[0])
    case .reinitialize: return self
    }
  }

  /// Checks that the shapes differ in the number of rows only.
  private func checkRows(like wanted: Tensor, _ key: String) throws {
    guard !shape.isEmpty, shape.count == wanted.shape.count,
      shape.dropFirst() == wanted.shape.dropFirst(), dtype.elementsPerByte == 1,
      dtype.byteCount(ofElements: wanted.elementCount) != nil
    else {
      throw ResizeError.impossible(
        key: key, "\(shape) and \(wanted.shape) differ in more than the number of rows")
    }
  }

  /// The rows of this tensor, then those of `wanted` that are behind them, or zeros.
  private func padded(like wanted: Tensor, withZeros: Bool, _ key: String) throws -> Tensor {
    try checkRows(like: wanted, key)
    guard wanted.shape[0] >= shape[0] else {
      throw ResizeError.impossible(
        key: key, "pad adds rows, and \(shape) has more than \(wanted.shape)")
    }
    let (all, own) = (wanted.elementCount, elementCount)
    let rest: ByteSource
    if withZeros {
      rest = .computed(Zeros(byteCount: (all - own) * dtype.byteCount))
    } else {
      let bytes = try wanted.converting(to: dtype).contiguousSource()
      rest = bytes.part(own * dtype.byteCount..<bytes.byteCount)
    }
    guard let rows = JoinedBytes([try resolvedSource(), rest]) else { throw TensorError.tooLarge }
    return try fresh(.computed(rows), wanted.shape)
  }

  /// A tensor of those bytes that is otherwise as this one.
  private func fresh(_ source: ByteSource, _ shape: [Int]) throws -> Tensor {
    var tensor = try Tensor(storage: Storage(source), dtype: dtype, shape: shape)
    tensor.isParameter = isParameter
    tensor.requiresGrad = requiresGrad
    return tensor
  }

  /// All elements as 32-bit floats, of a tensor that is known to be small.
  private func allFloats() throws -> [Float] {
    let reader = try makeElementReader()
    return try [Float](count: elementCount) { try reader.read(into: &$0) }
  }

  /// These numbers as elements of this tensor's type.
  private func fresh(_ values: [Float], _ shape: [Int]) throws -> Tensor {
    var tensor = try Tensor(values, shape: shape)
    if dtype != .float32 { tensor = try tensor.converting(to: dtype) }
    tensor.isParameter = isParameter
    tensor.requiresGrad = requiresGrad
    return tensor
  }

  // MARK: - Position embeddings

  /// As timm's `resample_abs_pos_embed` (rows below a leading 1, or alone) and
  /// `resample_abs_pos_embed_nhwc` (a grid with its own dimensions).
  private func positions(
    like wanted: Tensor, prefix: Int?, from: ResizeMode.GridSize?, to: ResizeMode.GridSize?,
    _ key: String
  ) throws -> Tensor {
    func bad(_ problem: String) -> ResizeError { .impossible(key: key, problem) }
    guard shape.count == wanted.shape.count, let width = shape.last, width == wanted.shape.last,
      width > 0,
      shape.count == 2 || (3...4).contains(shape.count) && shape[0] == 1 && wanted.shape[0] == 1
    else {
      throw bad("\(shape) and \(wanted.shape) are no position embeddings of one width")
    }
    var (prefix, from, to) = (prefix, from, to)
    if shape.count == 4 {
      prefix = 0
      from = .init(height: shape[1], width: shape[2])
      to = .init(height: wanted.shape[1], width: wanted.shape[2])
    }
    let (own, others) = (shape.dropLast().reduce(1, *), wanted.shape.dropLast().reduce(1, *))
    let prefixes = prefix.map { [$0] } ?? Array(0...16)
    let fitting = prefixes.compactMap { count -> (Int, ResizeMode.GridSize, ResizeMode.GridSize)? in
      guard let old = from ?? Self.square(own - count), let new = to ?? Self.square(others - count),
        old.count == own - count, new.count == others - count, old.count > 0, new.count > 0
      else { return nil }
      return (count, old, new)
    }
    guard let (count, old, new) = fitting.first else {
      throw bad("\(own) and \(others) places make no grids; give prefix=N, from=HxW, to=HxW")
    }
    guard fitting.count == 1 else {
      throw bad("\(own) and \(others) places make several grids; give prefix=N")
    }
    let values = try allFloats()
    let grid = Bicubic.resample(
      Array(values[(count * width)...]), width: width, from: (old.height, old.width),
      to: (new.height, new.width))
    return try fresh(values[..<(count * width)] + grid, wanted.shape)
  }

  /// The square grid of so many places; one of fewer than 2 by 2 must be given.
  private static func square(_ count: Int) -> ResizeMode.GridSize? {
    guard count >= 4 else { return nil }
    let side = Int(saturating: Double(count).squareRoot().rounded())
    return side * side == count ? .init(height: side, width: side) : nil
  }

  // MARK: - Input convolutions

  /// As timm's `adapt_input_conv`.
  private func inputChannels(like wanted: Tensor, _ key: String) throws -> Tensor {
    func bad(_ problem: String) -> ResizeError { .impossible(key: key, problem) }
    guard shape.count == 4, wanted.shape.count == 4, shape[0] == wanted.shape[0],
      shape[2...] == wanted.shape[2...], elementCount > 0, wanted.elementCount > 0
    else {
      throw bad(
        "\(shape) and \(wanted.shape) are no convolutions that differ in their channels only")
    }
    let (outputs, channels, area) = (shape[0], shape[1], shape[2] * shape[3])
    let count = wanted.shape[1]
    let values = try allFloats()
    var result: [Float] = []
    result.reserveCapacity(wanted.elementCount)
    // Stems that turn space into depth have a multiple of three channels; each three of them are
    // summed.
    let isSum = channels == 3 ? count == 1 : channels % 3 == 0 && count == channels / 3
    guard isSum || channels == 3 else {
      throw bad(
        "from \(channels) channels to \(count) there is no way; the convolution must have 3")
    }
    let factor = Float(3 / Double(count))
    for output in 0..<outputs {
      let start = output * channels * area
      for channel in 0..<count {
        for position in 0..<area {
          if isSum {
            let first = start + channel * 3 * area + position
            result.append(values[first] + values[first + area] + values[first + 2 * area])
          } else {
            result.append(values[start + channel % 3 * area + position] * factor)
          }
        }
      }
    }
    return try fresh(result, wanted.shape)
  }
}

/// Zeros, however many.
private struct Zeros: ComputedBytes {
  let byteCount: Int
  var isRandomAccess: Bool { true }

  func makeReader(at offset: Int) throws -> any ByteReader { Reader() }

  private final class Reader: ByteReader {
    func read(into bytes: inout MutableRawSpan) throws { bytes.fill(with: 0) }
  }
}
