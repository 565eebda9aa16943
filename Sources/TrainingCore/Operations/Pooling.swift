internal import CCkptTrainingKernels

extension Variable {
  /// The largest element of each window of images of shape [batch, channels, height, width]:
  /// `F.max_pool2d`. A NaN in a window is its result.
  ///
  /// - Parameters:
  ///   - kernelSize: the height and width of a window, in pixels.
  ///   - stride: the distance between windows, in pixels; the size of a window unless given.
  ///   - padding: the pixels added on each side, which never are the largest; at most half of the
  ///     window.
  ///   - dilation: the distance between the pixels of a window.
  ///   - ceilMode: whether a last window that reaches beyond the image counts.
  /// - Returns: a variable of shape [batch, channels, output height, output width].
  /// - Throws: `TrainingError` if the shape or the element type does not fit, or for windows that
  ///   are invalid.
  public func maxPool2d(
    _ kernelSize: Pair, stride: Pair? = nil, padding: Pair = 0, dilation: Pair = 1,
    ceilMode: Bool = false
  ) throws -> Variable {
    try maxPool2d(
      PoolingOptions(
        kernelSize: kernelSize, stride: stride ?? kernelSize, padding: padding, dilation: dilation,
        ceilMode: ceilMode))
  }

  func maxPool2d(_ options: PoolingOptions) throws -> Variable {
    try requireFloats("max_pool2d")
    let p = try PoolingGeometry(shape, options, operation: "max_pool2d")
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
    // The offset of each window's largest element in its plane; -1 if the window has none.
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
            for span in columns {
              // A window may miss the image, if it is dilated: then nothing wins.
              var (best, position) = (-T.infinity, -1)
              var line = lines.lowerBound
              while line < lines.upperBound {
                var column = span.lowerBound
                while column < span.upperBound {
                  let value = x[line * p.width + column]
                  if value > best || position < 0 || value.isNaN {
                    best = value
                    position = line * p.width + column
                  }
                  column += p.dilation.1
                }
                line += p.dilation.0
              }
              y[i] = best
              winning[i] = Int32(truncatingIfNeeded: position)
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
        let positions = winners.pointer.assumingMemoryBound(to: Int32.self)
        ComputeThreads.split(p.planes, grain: max(1, elementGrain / max(area, 1))) { planes in
          for plane in planes {
            let to = to + plane * p.height * p.width
            to.update(repeating: 0, count: p.height * p.width)
            for i in plane * area..<(plane + 1) * area where positions[i] >= 0 {
              to[Int(positions[i])] += g[i]
            }
          }
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient)
      return [input]
    }
  }

  /// The mean of each window of images of shape [batch, channels, height, width]: `F.avg_pool2d`.
  ///
  /// - Parameters:
  ///   - kernelSize: the height and width of a window, in pixels.
  ///   - stride: the distance between windows, in pixels; the size of a window unless given.
  ///   - padding: the pixels of zeros added on each side; at most half of the window.
  ///   - ceilMode: whether a last window that reaches beyond the image counts.
  ///   - countIncludePad: whether the padding's zeros count for the mean.
  /// - Returns: a variable of shape [batch, channels, output height, output width].
  /// - Throws: `TrainingError` if the shape or the element type does not fit, or for windows that
  ///   are invalid.
  public func avgPool2d(
    _ kernelSize: Pair, stride: Pair? = nil, padding: Pair = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true
  ) throws -> Variable {
    try avgPool2d(
      PoolingOptions(
        kernelSize: kernelSize, stride: stride ?? kernelSize, padding: padding, ceilMode: ceilMode,
        countIncludePad: countIncludePad))
  }

  func avgPool2d(_ options: PoolingOptions) throws -> Variable {
    try requireFloats("avg_pool2d")
    let countIncludePad = options.countIncludePad
    let p = try PoolingGeometry(shape, options, operation: "avg_pool2d")
    func window(_ index: Int, _ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int)
      -> (Range<Int>, Int)
    {
      let start = index * stride - padding
      let end = min(start + kernel, size + padding)
      let inside = max(start, 0)..<max(min(end, size), max(start, 0))
      return (inside, countIncludePad ? end - start : inside.count)
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

  /// The means of windows that are chosen to give an output of a certain size, over images of shape
  /// [batch, channels, height, width]: `F.adaptive_avg_pool2d`.
  ///
  /// - Parameter outputSize: the height and width of the output, in pixels.
  /// - Returns: a variable of shape [batch, channels, output height, output width].
  /// - Throws: `TrainingError` if the shape or the element type does not fit.
  public func adaptiveAvgPool2d(_ outputSize: Pair) throws -> Variable {
    let output = outputSize
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

  /// Means over windows, given by the rows and the columns that each covers and what its sum is
  /// divided by in either direction.
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
            for (span, columnCount) in columns {
              var sum: T = 0
              for line in lines { for i in span { sum += x[line * width + i] } }
              to.pointee = sum / T(lineCount * columnCount)
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
              for (span, columnCount) in columns {
                let share = from.pointee / T(lineCount * columnCount)
                for line in lines { for i in span { to[line * width + i] += share } }
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
