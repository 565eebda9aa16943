/// Counts the modules, steps, and elements of a description, and throws if they exceed a limit,
/// before memory is allocated.
final class Allowance {
  /// The largest numbers of modules, of steps of forward passes, and of elements in parameters and
  /// in buffers. (Parameters are allocated lazily, buffers at once.)
  static let most = (modules: 20_000, steps: 200_000, elements: 1 << 34, buffers: 1 << 26)

  private var modules = 0
  private var steps = 0
  private var elements = 0
  private var buffers = 0

  /// Counts a module.
  func takeModule() throws {
    modules += 1
    guard modules <= Self.most.modules else {
      throw LayerError("a model has at most \(Self.most.modules) modules")
    }
  }

  /// Counts the steps of a forward pass.
  func takeSteps(_ count: Int) throws {
    steps += count
    guard steps <= Self.most.steps else {
      throw LayerError("a model's forward passes have at most \(Self.most.steps) steps")
    }
  }

  /// Counts the elements of a buffer.
  func takeBuffer(_ shape: [Int]) throws {
    buffers += try Self.count(shape)
    guard buffers <= Self.most.buffers else {
      throw LayerError("a model has at most \(Self.most.buffers) elements in its buffers")
    }
  }

  /// Counts the elements of a parameter.
  func take(_ shape: [Int]) throws {
    elements += try Self.count(shape)
    guard elements <= Self.most.elements else {
      throw LayerError("a model has at most \(Self.most.elements) elements in its parameters")
    }
  }

  private static func count(_ shape: [Int]) throws -> Int {
    var count = 1
    for size in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard size >= 0, !overflow, product <= most.elements else {
        throw LayerError("a tensor of shape \(shape) is too large")
      }
      count = product
    }
    return count
  }
}
