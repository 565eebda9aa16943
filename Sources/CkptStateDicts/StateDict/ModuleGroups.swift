internal import CkptText
internal import OrderedCollections

/// Keys of a state dict, folded into the modules that they make up.
package struct ModuleGroup: Sendable, Hashable {
  /// The module, or the key itself if it stands alone.
  package let name: String
  /// The keys, in order.
  package let keys: [String]
  /// Whether these are all keys that the module has.
  package let isWholeModule: Bool
}

extension StateDict {
  /// Folds some of the keys into the outermost modules that have no others.
  package func moduleGroups(of some: [String]) -> [ModuleGroup] {
    let wanted = Set(some.map(ExactText.init))
    // Modules that have a key that is not wanted.
    var mixed = Set<ExactText>()
    for key in entries.keys where !wanted.contains(key) {
      for module in key.modules { mixed.insert(ExactText(module)) }
    }
    var groups: OrderedDictionary<ExactText, (keys: [String], isWhole: Bool)> = [:]
    for text in some {
      let key = ExactText(text)
      let whole = key.modules.dropFirst().first { !mixed.contains(ExactText($0)) }
      let name = whole ?? (key.module.text.isEmpty ? text : key.module.text)
      groups[ExactText(name), default: ([], whole != nil)].keys.append(text)
    }
    return groups.map { ModuleGroup(name: $0.text, keys: $1.keys, isWholeModule: $1.isWhole) }
  }
}
