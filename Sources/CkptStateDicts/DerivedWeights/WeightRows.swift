internal import CkptPlatform
internal import CkptTensors

/// A weight taken for a matrix: a row for each index of one dimension, as
/// `weight.permute(dim, …).flatten(1)` in `torch.nn.utils.spectral_norm` and
/// `torch.norm_except_dim` take it. Read block by block.
struct WeightRows {
  /// The weight, that dimension first.
  private let turned: Tensor
  let count, length: Int

  /// The rows along `dimension`; without one, all elements are one row.
  init(_ weight: Tensor, along dimension: Int?) throws(TensorError) {
    guard let dimension else {
      (turned, count, length) = (weight, 1, weight.elementCount)
      return
    }
    let order = [dimension] + weight.shape.indices.filter { $0 != dimension }
    turned = try weight.permuted(order)
    count = weight.shape[dimension]
    length = count == 0 ? 0 : weight.elementCount / count
  }

  private static let blockCount = 4096
  /// Vectors up to this length are held in memory; longer ones are read again for each row, of
  /// which there are few.
  private static let heldCount = 1 << 18

  /// The Euclidean length of each row.
  func lengths() throws -> [Double] {
    let reader = try turned.makeElementReader()
    var lengths: [Double] = []
    lengths.reserveCapacity(count)
    var block = AlignedBuffer<Double>(count: Self.blockCount)
    for _ in 0..<count {
      var sum = 0.0
      for start in stride(from: 0, to: length, by: Self.blockCount) {
        try block.withMutableSpan(first: min(Self.blockCount, length - start)) { part in
          try reader.read(into: &part)
          for index in part.indices { sum += part[index] * part[index] }
        }
      }
      lengths.append(sum.squareRoot())
    }
    return lengths
  }

  /// The product of each row with a vector, in order.
  func eachProduct(with vector: Tensor, _ body: (Double) throws -> Void) throws {
    let reader = try turned.makeElementReader()
    let held: [Double]? = length <= Self.heldCount ? try vector.numbers() : nil
    var block = AlignedBuffer<Double>(count: Self.blockCount)
    var other = AlignedBuffer<Double>(count: held == nil ? Self.blockCount : 0)
    for _ in 0..<count {
      let vectorReader = held == nil ? try vector.makeElementReader() : nil
      var sum = 0.0
      for start in stride(from: 0, to: length, by: Self.blockCount) {
        let size = min(Self.blockCount, length - start)
        try block.withMutableSpan(first: size) { part in
          try reader.read(into: &part)
          if let held {
            for index in 0..<size { sum += part[index] * held[start + index] }
          } else {
            try other.withMutableSpan(first: size) { other in
              try vectorReader?.read(into: &other)
              for index in 0..<size { sum += part[index] * other[index] }
            }
          }
        }
      }
      try body(sum)
    }
  }
}

extension Tensor {
  /// The elements as 64-bit numbers, in memory: for what is known to be small.
  func numbers() throws -> [Double] {
    try [Double](count: elementCount) { try makeElementReader().read(into: &$0) }
  }
}

extension DType {
  /// The numbers, each rounded to one that an element of this type holds.
  func rounded(_ values: [Double]) throws(TensorError) -> [Double] {
    guard self != .float64 else { return values }
    let narrow = try ElementConversion(from: .float64, to: self)
    let wide = try ElementConversion(from: self, to: .float64)
    let between = values.withRawSpan { values in
      [UInt8](byteCount: values.byteCount / 8 * byteCount) { narrow.convert(from: values, to: &$0) }
    }
    return between.withRawSpan { between in
      [Double](count: values.count) { numbers in
        var bytes = numbers.mutableBytes
        wide.convert(from: between, to: &bytes)
      }
    }
  }
}
