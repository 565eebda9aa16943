/// Which keys belong to which layer of a stack, such as `model.layers.7.mlp.weight` to layer 7 of `model.layers`.
package struct LayerNumbering: Sendable {
  /// The module whose numbered children are the layers.
  package let prefix: String
  /// How many layers there are: the largest number and one.
  package let count: Int

  /// The layers under `prefix`.
  ///
  /// - Returns: nil if no key has a number there.
  package init?(prefix: String, keys: [String]) {
    self.prefix = prefix
    let numbers = keys.compactMap { Self.number(in: $0, after: prefix) }
    guard let last = numbers.max() else { return nil }
    count = last + 1
  }

  /// The stack that holds the most keys; of equal ones the outermost.
  ///
  /// - Returns: nil if no module has children that are numbered from 0 without a gap, two at least.
  package init?(keys: [String]) {
    var found: [String: (keys: Int, numbers: Set<Int>)] = [:]
    for key in keys {
      let parts = key.split(separator: ".", omittingEmptySubsequences: false)
      // No model nests its layers deeper, and a key of numbers alone must not fill the memory.
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

  /// The layer of a key; nil outside of the layers.
  package func layer(of key: String) -> Int? { Self.number(in: key, after: prefix) }

  /// The key with another layer's number; nil outside of the layers.
  package func key(_ key: String, inLayer layer: Int) -> String? {
    guard let number = self.layer(of: key) else { return nil }
    let start = prefix.utf8.count + 1
    let rest = key.utf8.dropFirst(start + "\(number)".utf8.count)
    return "\(prefix).\(layer)" + (String(rest) ?? "")
  }

  private static func number(in key: String, after prefix: String) -> Int? {
    guard key.utf8.starts(with: "\(prefix).".utf8) else { return nil }
    let rest = key.utf8.dropFirst(prefix.utf8.count + 1)
    guard let dot = rest.firstIndex(of: UInt8(ascii: ".")) else { return nil }
    return String(rest[..<dot]).flatMap { number($0[...]) }
  }

  /// A number without signs and needless zeros, of a size that layers can have.
  private static func number(_ text: Substring) -> Int? {
    guard text.utf8.count <= 6, let number = Int(text), number >= 0, "\(number)" == text else {
      return nil
    }
    return number
  }
}
