internal import CTrainingKernels

/// A window's sizes over an image.
struct PoolingGeometry {
  var planes: Int
  var height: Int
  var width: Int
  var kernel: (Int, Int)
  var stride: (Int, Int)
  var padding: (Int, Int)
  var dilation: (Int, Int)
  var outputHeight: Int
  var outputWidth: Int

  init(
    _ shape: [Int], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, roundsUp: Bool,
    operation: String
  ) throws {
    let most = 1 << 24
    guard shape.count == 4,
      [kernel, stride, dilation].allSatisfy({
        (1...most).contains($0.first) && (1...most).contains($0.second)
      }),
      padding.first >= 0, padding.second >= 0, padding.first <= kernel.first / 2,
      padding.second <= kernel.second / 2
    else {
      throw TrainingError.badArgument(
        operation: operation,
        problem: "an input of shape \(shape) with kernel \(kernel.first) × \(kernel.second), "
          + "stride \(stride.first) × \(stride.second), padding \(padding.first) × \(padding.second)"
      )
    }
    func output(_ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int) -> Int {
      let room = size + 2 * padding - dilation * (kernel - 1) - 1
      guard room >= 0 else { return 0 }
      var count = (room + (roundsUp ? stride - 1 : 0)) / stride + 1
      // The last window must begin inside the image or its padding on the near side.
      if roundsUp, (count - 1) * stride >= size + padding { count -= 1 }
      return count
    }
    planes = shape[0] * shape[1]
    height = shape[2]
    width = shape[3]
    self.kernel = kernel.sizes
    self.stride = stride.sizes
    self.padding = padding.sizes
    self.dilation = dilation.sizes
    outputHeight = output(
      height, kernel.first, stride.first, padding.first, dilation.first)
    outputWidth = output(width, kernel.second, stride.second, padding.second, dilation.second)
    guard outputHeight > 0, outputWidth > 0 else {
      throw TrainingError.badShape(
        operation: operation, problem: "the window is larger than the image \(shape)")
    }
  }
}

extension PoolingGeometry {
  /// The part of a window that lies inside the image.
  func inside(
    _ index: Int, _ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int
  ) -> Range<Int> {
    var first = index * stride - padding
    if first < 0 { first += (-first + dilation - 1) / dilation * dilation }
    let end = min(index * stride - padding + (kernel - 1) * dilation + 1, size)
    return first..<max(first, end)
  }
}

extension Variable {
  /// PyTorch's `max_pool2d` over images of shape [batch, channels, height, width].
  public func maxPool2d(
    _ kernel: Pair, stride: Pair? = nil, padding: Pair = 0, dilation: Pair = 1,
    roundsUp: Bool = false
  ) throws -> Variable {
    try requireFloats("max_pool2d")
    let p = try PoolingGeometry(
      shape, kernel: kernel, stride: stride ?? kernel, padding: padding, dilation: dilation,
      roundsUp: roundsUp, operation: "max_pool2d")
    let source = try contiguous()
    let result = try Variable(
      empty: [shape[0], shape[1], p.outputHeight, p.outputWidth], scalarType)
    let area = p.outputHeight * p.outputWidth
    let rows = (0..<p.outputHeight).map {
      p.inside($0, p.height, p.kernel.0, p.stride.0, p.padding.0, p.dilation.0)
    }
    let columns = (0..<p.outputWidth).map {
      p.inside($0, p.width, p.kernel.1, p.stride.1, p.padding.1, p.dilation.1)
    }
    let firsts = columns.map { Int32($0.lowerBound) }
    let lasts = columns.map { Int32($0.upperBound) }
    let missesSome = p.dilation != (1, 1) || (rows + columns).contains(where: \.isEmpty)
    // The winners' places in their planes.
    let winners = try Memory(byteCount: result.count * 4)
    func forward<T: Scalar>(_: T.Type) {
      let (x, y) = (source.pointer(T.self), result.pointer(T.self))
      let winning = winners.pointer.assumingMemoryBound(to: Int32.self)
      ComputeThreads.split(p.planes, grain: max(1, elementGrain / max(area, 1))) { planes in
        for plane in planes {
          let x = x + plane * p.height * p.width
          var i = plane * area
          for lines in rows {
            if !missesSome, let x = asFloats(UnsafePointer(x)), let y = asFloats(y) {
              ct_max_row(
                x, Int32(p.width), Int32(lines.lowerBound), Int32(lines.upperBound), firsts, lasts,
                Int32(columns.count), Int32(p.stride.1), y + i, winning + i)
              i += columns.count
              continue
            }
            for places in columns {
              // A window may miss the image, if it is dilated: then nothing wins.
              var (best, place) = (-T.infinity, -1)
              var line = lines.lowerBound
              while line < lines.upperBound {
                var column = places.lowerBound
                while column < places.upperBound {
                  let value = x[line * p.width + column]
                  if value > best || place < 0 || value.isNaN {
                    best = value
                    place = line * p.width + column
                  }
                  column += p.dilation.1
                }
                line += p.dilation.0
              }
              y[i] = best
              winning[i] = Int32(truncatingIfNeeded: place)
              i += 1
            }
          }
        }
      }
    }
    scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source)
    let own = shape
    return result.computed(by: "max_pool2d", from: [self]) { gradient in
      let gradient = try gradient.contiguous()
      let input = try Variable(empty: own, gradient.scalarType)
      func backward<T: Scalar>(_: T.Type) {
        let (g, to) = (gradient.pointer(T.self), input.pointer(T.self))
        let places = winners.pointer.assumingMemoryBound(to: Int32.self)
        ComputeThreads.split(p.planes, grain: max(1, elementGrain / max(area, 1))) { planes in
          for plane in planes {
            let to = to + plane * p.height * p.width
            to.update(repeating: 0, count: p.height * p.width)
            for i in plane * area..<(plane + 1) * area where places[i] >= 0 {
              to[Int(places[i])] += g[i]
            }
          }
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient)
      return [input]
    }
  }

  /// PyTorch's `avg_pool2d` over images of shape [batch, channels, height, width].
  ///
  /// - Parameters:
  ///   - countsPadding: whether the padding's zeros count when the mean is taken.
  public func averagePool2d(
    _ kernel: Pair, stride: Pair? = nil, padding: Pair = 0, roundsUp: Bool = false,
    countsPadding: Bool = true
  ) throws -> Variable {
    try requireFloats("avg_pool2d")
    let p = try PoolingGeometry(
      shape, kernel: kernel, stride: stride ?? kernel, padding: padding, dilation: 1,
      roundsUp: roundsUp, operation: "avg_pool2d")
    func window(_ index: Int, _ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int)
      -> (Range<Int>, Int)
    {
      let start = index * stride - padding
      let end = min(start + kernel, size + padding)
      let inside = max(start, 0)..<max(min(end, size), max(start, 0))
      return (inside, countsPadding ? end - start : inside.count)
    }
    return try pooled(
      by: "avg_pool2d",
      rows: (0..<p.outputHeight).map {
        window($0, p.height, p.kernel.0, p.stride.0, p.padding.0)
      },
      columns: (0..<p.outputWidth).map {
        window($0, p.width, p.kernel.1, p.stride.1, p.padding.1)
      })
  }

  /// PyTorch's `adaptive_avg_pool2d`: windows are chosen so that the output has the given size.
  public func adaptiveAveragePool2d(_ output: Pair) throws -> Variable {
    try requireFloats("adaptive_avg_pool2d")
    guard rank == 4, output.first > 0, output.second > 0, shape[2] > 0, shape[3] > 0,
      max(output.first, output.second) < 1 << 24
    else {
      throw TrainingError.badShape(
        operation: "adaptive_avg_pool2d", problem: "an input of shape \(shape)")
    }
    func windows(_ size: Int, _ output: Int) -> [(Range<Int>, Int)] {
      (0..<output).map {
        let range = $0 * size / output..<(($0 + 1) * size + output - 1) / output
        return (range, range.count)
      }
    }
    return try pooled(
      by: "adaptive_avg_pool2d", rows: windows(shape[2], output.first),
      columns: windows(shape[3], output.second))
  }

  /// Means over windows, given by the rows and the columns that each covers and what its sum is divided
  /// by in either direction.
  private func pooled(
    by name: StaticString, rows: [(Range<Int>, Int)], columns: [(Range<Int>, Int)]
  ) throws -> Variable {
    let (height, width) = (shape[2], shape[3])
    let planes = shape[0] * shape[1]
    let source = try contiguous()
    let result = try Variable(empty: [shape[0], shape[1], rows.count, columns.count], scalarType)
    let grain = max(1, elementGrain / max(height * width, 1))
    func forward<T: Scalar>(_: T.Type) {
      let (x, y) = (source.pointer(T.self), result.pointer(T.self))
      ComputeThreads.split(planes, grain: grain) { range in
        for plane in range {
          let x = x + plane * height * width
          var to = y + plane * rows.count * columns.count
          for (lines, lineCount) in rows {
            for (places, placeCount) in columns {
              var sum: T = 0
              for line in lines { for i in places { sum += x[line * width + i] } }
              to.pointee = sum / T(lineCount * placeCount)
              to += 1
            }
          }
        }
      }
    }
    scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source)
    let own = shape
    return result.computed(by: name, from: [self]) { gradient in
      let gradient = try gradient.contiguous()
      let input = try Variable.zeros(own, gradient.scalarType)
      func backward<T: Scalar>(_: T.Type) {
        let (g, to) = (gradient.pointer(T.self), input.pointer(T.self))
        ComputeThreads.split(planes, grain: grain) { range in
          for plane in range {
            let to = to + plane * height * width
            var from = g + plane * rows.count * columns.count
            for (lines, lineCount) in rows {
              for (places, placeCount) in columns {
                let share = from.pointee / T(lineCount * placeCount)
                for line in lines { for i in places { to[line * width + i] += share } }
                from += 1
              }
            }
          }
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient)
      return [input]
    }
  }
}
