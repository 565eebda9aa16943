internal import CkptText
internal import CkptStateDicts
internal import TrainingCore

/// The arguments of a layer, with PyTorch's names.
struct LayerArguments {
  let layer: String
  private var values: [String: SizeValue] = [:]

  /// Binds arguments to the parameters of a signature.
  init(
    _ layer: String, _ parameters: [String], required: Int,
    _ arguments: [(name: String?, value: SizeValue)]
  ) throws {
    self.layer = layer
    for (index, argument) in arguments.enumerated() {
      let name: String
      if let given = argument.name {
        guard parameters.contains(given) else {
          let nearest = NearestKeys.nearest(to: given, in: parameters)
          throw LayerError(
            "\(layer) has no argument \(given)"
              + (nearest.isEmpty
                ? "; it has \(parameters.joined(separator: ", "))"
                : "; is \(nearest.joined(separator: " or ")) meant?"))
        }
        name = given
      } else {
        guard index < parameters.count else {
          throw LayerError("\(layer) takes at most \(parameters.count) arguments")
        }
        name = parameters[index]
      }
      guard values.updateValue(argument.value, forKey: name) == nil else {
        throw LayerError("\(layer) has its argument \(name) twice")
      }
    }
    for name in parameters.prefix(required) where values[name] == nil {
      throw LayerError("\(layer) needs its argument \(name)")
    }
  }

  /// Whether an argument is given and not `None`.
  func has(_ name: String) -> Bool { values[name].map { $0 != .none } ?? false }

  subscript(name: String) -> SizeValue? { values[name] }

  private func bad(_ name: String, _ wanted: String) -> LayerError {
    LayerError("\(layer): \(name) is \(wanted), not \(values[name]?.text ?? "nothing")")
  }

  /// The range of sizes of tensors.
  static let sizes = 1...(1 << 28)
  /// The range of kernel sizes, strides and dilations.
  static let steps = 1...4096

  /// The value of an integer argument.
  func integer(_ name: String, _ range: ClosedRange<Int> = sizes, or standard: Int? = nil) throws
    -> Int
  {
    guard let value = values[name] else {
      if let standard { return standard }
      throw LayerError("\(layer) needs its argument \(name)")
    }
    guard case .integer(let number) = value, range.contains(number) else {
      throw bad(name, "an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// The value of an argument that is one integer for height and width, or two.
  func pair(_ name: String, _ range: ClosedRange<Int> = steps, or standard: Int? = nil) throws
    -> Pair
  {
    if case .list(let items) = values[name] {
      guard items.count == 2, case .integer(let first) = items[0],
        case .integer(let second) = items[1], range.contains(first), range.contains(second)
      else {
        throw bad(name, "two integers from \(range.lowerBound) to \(range.upperBound)")
      }
      return Pair(first, second)
    }
    return Pair(try integer(name, range, or: standard))
  }

  /// The value of an argument that is one integer, or a list of one, as PyTorch prints it for 1d
  /// layers.
  func single(_ name: String, _ range: ClosedRange<Int> = steps, or standard: Int? = nil) throws
    -> Int
  {
    guard case .list(let items) = values[name] else {
      return try integer(name, range, or: standard)
    }
    guard items.count == 1, case .integer(let number) = items[0], range.contains(number) else {
      throw bad(name, "an integer from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// The value of an argument that is one size, or a list of sizes.
  func shape(_ name: String) throws -> [Int] {
    guard case .list(let items) = values[name] else { return [try integer(name)] }
    guard (1...8).contains(items.count) else { throw bad(name, "one to eight sizes") }
    return try items.map { item in
      guard case .integer(let size) = item, Self.sizes.contains(size) else {
        throw bad(name, "a list of sizes")
      }
      return size
    }
  }

  func number(_ name: String, _ range: ClosedRange<Double>, or standard: Double) throws -> Double {
    guard let value = values[name] else { return standard }
    guard let number = value.asNumber, range.contains(number) else {
      throw bad(name, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  func epsilon(or standard: Double = 1e-5) throws -> Double {
    try number("eps", 0...1, or: standard)
  }

  func flag(_ name: String, or standard: Bool) throws -> Bool {
    guard let value = values[name] else { return standard }
    switch value {
    case .flag(let flag): return flag
    case .integer(let number) where number == 0 || number == 1: return number == 1
    default: throw bad(name, "True or False")
    }
  }

  /// Checks that an argument has the only supported value.
  ///
  /// - Throws: `LayerError`.
  func only(_ name: String, _ wanted: SizeValue) throws {
    guard let value = values[name], value != wanted else { return }
    throw bad(name, "always \(wanted.text) here")
  }

  func word(_ name: String, _ known: [String], or standard: String) throws -> String {
    guard let value = values[name] else { return standard }
    guard known.contains(value == .none ? "none" : value.text) else {
      throw bad(name, known.joined(separator: " or "))
    }
    return value == .none ? "none" : value.text
  }
}
