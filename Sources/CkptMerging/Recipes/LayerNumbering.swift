/// Assigns keys to the layers of a stack; for example, `model.layers.7.mlp.weight` belongs to layer
/// 7 of `model.layers`.
package struct LayerNumbering: Sendable {
  /// The module whose numbered children are the layers.
  package let prefix: String
  /// The number of layers: the largest layer number plus one.
  package let count: Int

  /// Numbers the layers under `prefix`.
  ///
  /// - Returns: nil if no key has a number after `prefix`.
  package init?(prefix: String, keys: [String]) {
    self.prefix = prefix
    let numbers = keys.compactMap { Self.number(in: $0, after: prefix) }
    guard let last = numbers.max() else { return nil }
    count = last + 1
  }

  /// Finds the stack that holds the most keys; among equal ones, the outermost.
  ///
  /// - Returns: nil if no module has two or more children that are numbered from 0 without gaps.
  package init?(keys: [String]) {
    var found: [String: (keys: Int, numbers: Set<Int>)] = [:]
    for key in keys {
      let parts = key.split(separator: ".", omittingEmptySubsequences: false)
      // A limit on the depth, since a key made of numbers only would use quadratic memory.
      for (position, part) in parts.enumerated().prefix(32)
      where position > 0 && position < parts.count - 1 {
        guard let number = Self.number(part) else { continue }
        let prefix = parts[..<position].joined(separator: ".")
        found[prefix, default: (0, [])].keys += 1
        found[prefix]?.numbers.insert(number)
      }
    }
    let stacks = found.filter { $0.value.numbers.count > 1 }
      .filter { $0.value.numbers.max() == $0.value.numbers.count - 1 }
    let best = stacks.max { left, right in
      (left.value.keys, right.key.utf8.count, right.key)
        < (right.value.keys, left.key.utf8.count, left.key)
    }
    guard let best else { return nil }
    prefix = best.key
    count = best.value.numbers.count
  }

  /// The layer number of a key; nil for keys outside the layers.
  package func layer(of key: String) -> Int? { Self.number(in: key, after: prefix) }

  /// The key with its layer number replaced; nil for keys outside the layers.
  package func key(_ key: String, inLayer layer: Int) -> String? {
    guard let number = self.layer(of: key) else { return nil }
    let start = prefix.utf8.count + 1
    let rest = key.utf8.dropFirst(start + "\(number)".utf8.count)
    return "\(prefix).\(layer)" + (String(rest) ?? "")
  }

  /// The layer number that follows `prefix` in a key.
  private static func number(in key: String, after prefix: String) -> Int? {
    guard key.utf8.starts(with: "\(prefix).".utf8) else { return nil }
    let rest = key.utf8.dropFirst(prefix.utf8.count + 1)
    guard let dot = rest.firstIndex(of: UInt8(ascii: ".")) else { return nil }
    return String(rest[..<dot]).flatMap { number($0[...]) }
  }

  /// A number of up to six digits without sign or leading zeros; nil for other text.
  private static func number(_ text: Substring) -> Int? {
    guard text.utf8.count <= 6, let number = Int(text), number >= 0, "\(number)" == text else {
      return nil
    }
    return number
  }
}
