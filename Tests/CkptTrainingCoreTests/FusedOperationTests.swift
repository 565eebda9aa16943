import Testing
import TrainingCore

/// Ways that go over memory less often, against the modules one by one, which are held against PyTorch's figures in
/// `LayerTests`.
struct FusedOperationTests {
  private static func random(_ shape: [Int], _ seed: UInt64) throws -> Variable {
    let value = try Variable.normal(shape, from: RandomSource(seed: seed))
    value.requiresGrad = true
    return value
  }

  /// A convolution and a batch norm with statistics and an affine map that are not those of the beginning.
  private static func layers(_ inputs: Int, _ outputs: Int, _ size: Int, stride: Int, bias: Bool)
    throws -> (Conv2d, BatchNorm2d)
  {
    let random = RandomSource(seed: 11)
    let convolution = try Conv2d(
      inputs, outputs, kernelSize: Pair(size), stride: Pair(stride), padding: Pair(size / 2),
      bias: bias, from: random)
    let norm = try BatchNorm2d(outputs)
    let data = try Variable.normal(
      [4, outputs, 5, 5], mean: 0.5, standardDeviation: 2, from: random)
    _ = try norm(data)
    return (convolution, norm)
  }

  static let cases: [(inputs: Int, outputs: Int, kernel: Int, stride: Int, size: Int)] = [
    (3, 7, 3, 2, 11), (40, 72, 1, 1, 13), (64, 80, 3, 1, 15), (300, 9, 1, 2, 9),
  ]

  @Test(arguments: cases.indices)
  func `A convolution, a norm, a sum and a rectifier at once give what they give one by one`(
    _ number: Int
  ) throws {
    let sizes = Self.cases[number]
    for isTraining in [true, false] {
      for (hasAddend, relu) in [(true, true), (true, false), (false, true), (false, false)] {
        let (convolution, norm) = try Self.layers(
          sizes.inputs, sizes.outputs, sizes.kernel, stride: sizes.stride, bias: !isTraining)
        if !isTraining { norm.eval() }
        let x = try Self.random([2, sizes.inputs, sizes.size, sizes.size], 1)
        let mapped = try convolution(x)
        let addend = hasAddend ? try Self.random(mapped.shape, 2) : nil
        let slopes = try Self.random(mapped.shape, 3)
        let leaves: [Variable] =
          [x] + [addend].compactMap(\.self)
          + (convolution.trainableParameters + norm.trainableParameters).map(\.parameter)

        var wanted = try norm(mapped)
        if let addend { wanted = try wanted + addend }
        if relu { wanted = try wanted.relu() }
        try wanted.backward(gradient: slopes)
        let gradients = leaves.map(\.grad)
        for leaf in leaves { leaf.grad = nil }

        func atOnce() throws -> Variable {
          try convolution.normalized(x, by: norm, adding: addend, relu: relu)
        }
        let what = "training \(isTraining), addend \(hasAddend), rectifier \(relu)"
        let found = try atOnce()
        try expectClose(found, wanted, "output, \(what)")
        try found.backward(gradient: slopes)
        for (leaf, gradient) in zip(leaves, gradients) {
          try expectClose(leaf.grad, #require(gradient), "gradient, \(what)")
        }
        // Without gradients it is done while outputs are written.
        try expectClose(noGrad { try atOnce() }, wanted, "output alone, \(what)")
      }
    }
  }

  @Test(arguments: [(3, 2, 1), (2, 2, 0), (3, 1, 1), (5, 3, 2)])
  func `The largest of windows in wide rows are those of 64 bits`(
    _ kernel: Int, _ stride: Int, _ padding: Int
  ) throws {
    let shape = [2, 3, 9, 75]
    var values = try Self.random(shape, 4).floats()
    values[100] = .nan
    values[101] = .infinity
    let x = try Variable(values, shape: shape, requiresGrad: true)
    let wide = try Variable(doubles: values.map(Double.init), shape: shape, requiresGrad: true)
    let found = try x.maxPool2d(Pair(kernel), stride: Pair(stride), padding: Pair(padding))
    let wanted = try wide.maxPool2d(Pair(kernel), stride: Pair(stride), padding: Pair(padding))
    let pairs = zip(try found.doubles(), try wanted.doubles())
    #expect(pairs.allSatisfy { $0 == $1 || ($0.isNaN && $1.isNaN) })
    try found.backward(gradient: Variable.full(found.shape, 0.5))
    try wanted.backward(gradient: Variable.full(wanted.shape, 0.5, .float64))
    try #expect(#require(x.grad).doubles() == #require(wide.grad).doubles())
  }
}
