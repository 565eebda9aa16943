/// The layers of a backbone in order, for learning rates that decay from layer to layer.
///
/// A layer is a numbered part of a container, such as `layer1.0` or `features.3`; where keys have no number, it is the
/// first part of the key, such as `conv1`.
struct LayerDepths {
  private var depths: [String: Int] = [:]

  /// The layers of parameters with these keys, which are in the model's order.
  init(_ keys: [String]) {
    for key in keys where depths[Self.layer(of: key)] == nil {
      depths[Self.layer(of: key)] = depths.count
    }
  }

  /// The number of layers.
  var count: Int { depths.count }

  /// The index of a key's layer, 0 for the one next to the input.
  subscript(key: String) -> Int { depths[Self.layer(of: key)] ?? 0 }

  /// The layer of a key, for people.
  func name(of key: String) -> String { Self.layer(of: key) }

  private static func layer(of key: String) -> String {
    let parts = key.split(separator: ".", omittingEmptySubsequences: false)
    // The last part is the parameter itself.
    let modules = parts.dropLast()
    guard let number = modules.firstIndex(where: isNumbered) else {
      return String(modules.first ?? parts[0])
    }
    return modules[...number].joined(separator: ".")
  }

  /// Whether a part of a key is an index, or a name that ends in one behind an underscore.
  private static func isNumbered(_ part: Substring) -> Bool {
    let digits = part.split(separator: "_", omittingEmptySubsequences: false).last ?? part
    return !digits.isEmpty && digits.utf8.allSatisfy { (48...57).contains($0) }
  }
}
