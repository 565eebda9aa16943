/// The assignment of tensors to files, by the rule of huggingface_hub's
/// `split_torch_state_dict_into_shards`: tensors keep their order, and a new file begins when the
/// next tensor would exceed the limit. A tensor that exceeds the limit by itself gets its own file.
/// Tensors that share a storage are in the same file, and the storage is counted once.
package struct ShardSplit: Sendable {
  /// The properties of a tensor that the rule depends on.
  package struct Item: Sendable {
    let byteCount: Int
    let storage: Int?

    /// Creates an item whose storage has `byteCount` bytes; tensors with equal `storage` share it.
    package init(byteCount: Int, storage: Int?) {
      self.byteCount = byteCount
      self.storage = storage
    }
  }

  /// For each file, the indices of its tensors in the items.
  package let shards: [[Int]]
  /// The value of `total_size` in the index: the number of bytes of all storages.
  package let totalByteCount: Int

  /// Assigns tensors to files of at most `limit` bytes.
  package init(_ items: [Item], limit: Int) {
    var shards: [[Int]] = []
    var current: [Int] = []
    var currentSize = 0
    var total = 0
    var first: [Int: Int] = [:]
    var later: [(item: Int, first: Int)] = []
    for (index, item) in items.enumerated() {
      if let storage = item.storage {
        if let known = first[storage] {
          later.append((index, known))
          continue
        }
        first[storage] = index
      }
      total = total.addingReportingOverflow(item.byteCount).partialValue
      if item.byteCount > limit {
        shards.append([index])
        continue
      }
      if currentSize + item.byteCount > limit {
        shards.append(current)
        current = []
        currentSize = 0
      }
      current.append(index)
      currentSize += item.byteCount
    }
    if !current.isEmpty { shards.append(current) }
    var positions: [Int: Int] = [:]
    for (shard, members) in shards.enumerated() {
      for member in members { positions[member] = shard }
    }
    for (item, first) in later {
      if let shard = positions[first] { shards[shard].append(item) }
    }
    self.shards = shards
    totalByteCount = total
  }

  /// The file name of shard `number` (from 0) of `count`, such as
  /// `model-00001-of-00003.safetensors`; a single shard is named `model.safetensors`.
  package static func fileName(_ stem: String, _ ending: String, number: Int, of count: Int)
    -> String
  {
    guard count > 1 else { return stem + ending }
    return "\(stem)-\(digits(number + 1))-of-\(digits(count))\(ending)"
  }

  /// Parses a name created by ``fileName(_:_:number:of:)``; nil for other names. The number is from
  /// 0.
  package static func parse(
    _ name: String, _ ending: String
  ) -> (stem: String, number: Int, count: Int)? {
    guard name.hasSuffix(ending) else { return nil }
    let parts = name.dropLast(ending.count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count >= 4, parts[parts.count - 2] == "of",
      let count = number(parts[parts.count - 1]), let position = number(parts[parts.count - 3]),
      (1...count).contains(position)
    else { return nil }
    return (parts.dropLast(3).joined(separator: "-"), position - 1, count)
  }

  private static func number(_ text: Substring) -> Int? {
    guard text.utf8.count >= 5, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let value = Int(text), value > 0
    else { return nil }
    return value
  }

  private static func digits(_ value: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, 5 - text.count)) + text
  }
}
