import Testing
import TrainingCore

/// Large convolutions take other ways in 32 bits (`WinogradConvolution`, `PointwiseConvolution`) than in 64 bits, where
/// they are plain products; the latter are held against PyTorch's figures and differences in `LayerTests`.
struct LargeConvolutionTests {
  struct Size: CustomTestStringConvertible {
    var batch: Int
    var inputs: Int
    var outputs: Int
    var height: Int
    var width: Int
    var padding: Pair = 1
    var kernel = 3
    var testDescription: String {
      "\(batch) × \(inputs) → \(outputs), \(height) × \(width), \(kernel)×\(kernel)"
    }
  }

  private static func random(_ shape: [Int], _ seed: UInt64) throws -> Variable {
    let value = try Variable.normal(shape, from: RandomSource(seed: seed))
    value.requiresGrad = true
    return value
  }

  @Test(arguments: [
    Size(batch: 1, inputs: 32, outputs: 32, height: 28, width: 28),
    Size(batch: 3, inputs: 40, outputs: 72, height: 13, width: 15),
    Size(batch: 2, inputs: 33, outputs: 31, height: 17, width: 9, padding: Pair(0, 2)),
    Size(batch: 9, inputs: 96, outputs: 64, height: 7, width: 7),
    // So many tiles that threads share these.
    Size(batch: 1, inputs: 64, outputs: 48, height: 90, width: 94, padding: 0),
    Size(batch: 3, inputs: 40, outputs: 70, height: 7, width: 7, padding: 0, kernel: 1),
    Size(batch: 2, inputs: 33, outputs: 64, height: 20, width: 31, padding: 0, kernel: 1),
  ])
  func `A large convolution in 32 bits gives the figures of one in 64 bits`(_ size: Size) throws {
    let shape = [size.batch, size.inputs, size.height, size.width]
    let x = try Self.random(shape, 1)
    let weight = try Self.random([size.outputs, size.inputs, size.kernel, size.kernel], 2)
    let bias = try Self.random([size.outputs], 3)
    let output = try x.conv2d(weight, bias, padding: size.padding)
    let slopes = try Self.random(output.shape, 4)
    try output.backward(gradient: slopes)

    func wide(_ value: Variable) throws -> Variable {
      try Variable(doubles: value.doubles(), shape: value.shape, requiresGrad: true)
    }
    let (wideX, wideWeight, wideBias) = (try wide(x), try wide(weight), try wide(bias))
    let wideOutput = try wideX.conv2d(wideWeight, wideBias, padding: size.padding)
    try wideOutput.backward(gradient: wide(slopes))
    try expectClose(output, wideOutput, "output")
    try expectClose(x.grad, #require(wideX.grad), "gradient of the images")
    try expectClose(weight.grad, #require(wideWeight.grad), "gradient of the weights")
    try expectClose(bias.grad, #require(wideBias.grad), "gradient of the bias")
  }

  @Test func `A NaN in an image reaches every output that sees it`() throws {
    var values = [Float](repeating: 1, count: 32 * 20 * 20)
    values[7 * 400 + 9 * 20 + 11] = .nan
    let x = try Variable(values, shape: [1, 32, 20, 20])
    let output = try x.conv2d(Self.random([32, 32, 3, 3], 5), padding: 1).floats()
    for channel in 0..<32 {
      for y in 8...10 { for x in 10...12 { #expect(output[channel * 400 + y * 20 + x].isNaN) } }
      #expect(output[channel * 400].isFinite)
    }
  }
}
