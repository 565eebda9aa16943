public import CkptPatterns
internal import CkptText
internal import OrderedCollections

extension StateDict {
  /// The entries whose keys match one of `include` (all, if none is given) and none of `exclude`.
  ///
  /// `{k: v for k, v in state_dict.items() if 'backbone' in k and 'fc' not in k}` is
  /// `stateDict.filter(include: "backbone", exclude: "fc")`.
  /// - Throws: ``CkptPatterns/PatternError``. See ``KeyPattern`` for the patterns.
  public func filter(include: String..., exclude: String...) throws -> StateDict {
    filter(
      try KeySelection(
        include: include.map { try KeyPattern($0) }, exclude: exclude.map { try KeyPattern($0) }))
  }

  /// The selected entries; their order and `_metadata` are kept.
  ///
  /// A module that had keys and has none left loses its entry in `_metadata`; one that never had
  /// keys goes with the module around it.
  public func filter(_ selection: KeySelection) -> StateDict {
    selection.isEverything ? self : filter { selection.matches($0, $1) }
  }

  /// The entries for which `isIncluded` returns true.
  ///
  /// - Throws: what `isIncluded` throws.
  public func filter(
    _ isIncluded: (_ key: String, _ value: Value) throws -> Bool
  ) rethrows -> StateDict {
    var result = self
    result.entries = try entries.filter { try isIncluded($0.key.text, $0.value) }
    result.metadata = metadata.map { all in
      let before = Self.modules(of: entries.keys)
      let after = Self.modules(of: result.entries.keys)
      return all.filter { entry in
        var module = entry.module[...]
        while !before.contains(ExactText(String(module))), !module.isEmpty {
          module = Self.parent(of: module)
        }
        return module.isEmpty || after.contains(ExactText(String(module)))
      }
    }
    return result
  }

  private static func modules(of keys: OrderedSet<ExactText>) -> Set<ExactText> {
    var modules = Set<ExactText>()
    for key in keys {
      for module in key.modules { modules.insert(ExactText(module)) }
    }
    return modules
  }

  private static func parent(of module: Substring) -> Substring {
    module.lastIndex(of: ".").map { module[..<$0] } ?? ""
  }

  /// The old and new key of each entry that the rules would rename, in order.
  ///
  /// - Throws: `PatternError` for an invalid rule; `StateDictError.keysCollide`,
  ///   `.keysVanish`.
  public func renamed(_ rules: [KeyRename]) throws -> [(old: String, new: String)] {
    let rename = try Self.renamer(rules)
    return keys.compactMap { key in
      let new = rename(key)
      return new.isExactly(key) ? nil : (key, new)
    }
  }

  private static func renamer(_ rules: [KeyRename]) throws -> (String) -> String {
    let renamers = try rules.map { try $0.renamer() }
    return { key in renamers.reduce(key) { $1($0) } }
  }

  /// A copy whose keys are renamed by the rules, applied one after the other.
  ///
  /// `{k.replace('module.', ''): v for k, v in state_dict.items()}` is
  /// `stateDict.renamingKeys(.replace("module.", with: ""))`, except that the modules' entries in
  /// `_metadata` are renamed too, and that no key takes another's place.
  /// - Throws: `StateDictError.keysCollide` naming all collisions, `.keysVanish`, `.badPattern`.
  public func renamingKeys(_ rules: KeyRename...) throws -> StateDict {
    try renamingKeys(rules)
  }

  /// A copy whose keys are renamed by the rules, applied one after the other.
  ///
  /// - Throws: `PatternError` for an invalid rule; `StateDictError.keysCollide`,
  ///   `.keysVanish`.
  public func renamingKeys(_ rules: [KeyRename]) throws -> StateDict {
    let rename = try Self.renamer(rules)
    var result = StateDict()
    var sources: OrderedDictionary<ExactText, [String]> = [:]
    var vanished: [String] = []
    for (key, value) in entries {
      let new = rename(key.text)
      if new.isEmpty, !key.text.isEmpty { vanished.append(key.text) }
      result.entries[ExactText(new)] = value
      sources[ExactText(new), default: []].append(key.text)
    }
    guard vanished.isEmpty else { throw StateDictError.keysVanish(vanished) }
    let collisions = sources.filter { $0.value.count > 1 }
    guard collisions.isEmpty else {
      throw StateDictError.keysCollide(collisions.map { .init(new: $0.key.text, old: $0.value) })
    }
    result.metadata = metadata.map { renamedMetadata($0, sources, rename) }
    return result
  }

  /// Moves each module's entry to where its keys went.
  ///
  /// If the keys of a module went to different places, the entry goes where a key would go that
  /// stands directly in the module. Where two entries meet, the one that was moved stays: `module.`
  /// stripped from a `DataParallel` checkpoint leaves the inner module's entry as the root's.
  private func renamedMetadata(
    _ metadata: [ModuleMetadata], _ sources: OrderedDictionary<ExactText, [String]>,
    _ rename: (String) -> String
  ) -> [ModuleMetadata] {
    // For each module, where its keys say that it went; nil if they disagree.
    var targets: [ExactText: String?] = [:]
    for (new, olds) in sources {
      for module in ExactText(olds[0]).modules {
        let rest = module.isEmpty ? olds[0] : String(olds[0].dropFirst(module.count + 1))
        let target: String? =
          if new.text.isExactly(rest) {
            ""
          } else if new.text.hasSuffix("." + rest) {
            String(new.text.dropLast(rest.count + 1))
          } else {
            nil
          }
        if let known = targets[ExactText(module)] {
          if known != target { targets[ExactText(module)] = .some(nil) }
        } else {
          targets[ExactText(module)] = .some(target)
        }
      }
    }
    var moved: OrderedDictionary<ExactText, (entry: ModuleMetadata, moved: Bool)> = [:]
    for entry in metadata {
      var target = targets[ExactText(entry.module)] ?? nil
      if target == nil {
        let probe = rename(entry.module.isEmpty ? "x" : entry.module + ".x")
        target =
          probe == "x" ? "" : probe.hasSuffix(".x") ? String(probe.dropLast(2)) : entry.module
      }
      let new = entry.module.isEmpty && targets[ExactText("")] == nil ? "" : target ?? entry.module
      let isMoved = !new.isExactly(entry.module)
      if let known = moved[ExactText(new)], known.moved || !isMoved { continue }
      moved[ExactText(new)] = (entry, isMoved)
    }
    return moved.map { key, value in
      var entry = value.entry
      entry.module = key.text
      return entry
    }
  }
}
