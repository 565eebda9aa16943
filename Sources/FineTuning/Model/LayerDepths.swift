/// The layers of a backbone in their order, for learning rates that decay from layer to layer.
///
/// A layer is a numbered child of a module, such as `layer1.0` or `features.3`. If a key has no
/// number, its first part is the layer, such as `conv1`.
struct LayerDepths {
  private var depths: [String: Int] = [:]

  /// Finds the layers in the keys of parameters, which are in the order of the model.
  init(_ keys: [String]) {
    for key in keys where depths[Self.layer(of: key)] == nil {
      depths[Self.layer(of: key)] = depths.count
    }
  }

  /// The number of layers.
  var count: Int { depths.count }

  /// The index of a key's layer, counted from 0 at the input.
  subscript(key: String) -> Int { depths[Self.layer(of: key)] ?? 0 }

  /// The name of a key's layer, to be shown.
  func name(of key: String) -> String { Self.layer(of: key) }

  private static func layer(of key: String) -> String {
    let parts = key.split(separator: ".", omittingEmptySubsequences: false)
    // The last part of the key is the parameter.
    let modules = parts.dropLast()
    guard let number = modules.firstIndex(where: isNumbered) else {
      return String(modules.first ?? parts[0])
    }
    return modules[...number].joined(separator: ".")
  }

  /// Whether a part of a key is a number, or ends in an underscore and a number.
  private static func isNumbered(_ part: Substring) -> Bool {
    let digits = part.split(separator: "_", omittingEmptySubsequences: false).last ?? part
    return !digits.isEmpty && digits.utf8.allSatisfy { (48...57).contains($0) }
  }
}
