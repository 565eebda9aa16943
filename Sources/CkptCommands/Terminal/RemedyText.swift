internal import CkptPatterns
package import StateDictKit

// Maps the library's remedies and rules to the command's options.

extension Remedy.Action {
  /// The option or command for the action.
  var option: String {
    switch self {
    case .replaceExisting: "--force"
    case .extract: "--extract"
    case .filterAndExtract: "\"ckpt filter --extract\""
    case .exclude: "--exclude"
    case .excludeInEdit: "--exclude of filter and convert"
    case .select: "--include and --exclude"
    case .convert(let type): type.map { "--to-dtype \($0)" } ?? "--to-dtype"
    case .convertFile: "convert --to-dtype"
    case .excludeFromCast: "--cast-exclude"
    case .dequantize: "--dequantize"
    case .dropObjects: "--drop-objects"
    case .ties(let policy): "--ties \(policy)"
    case .makePlain: "--plain"
    case .keepUnverified: "--unverified"
    case .repair: "\"ckpt repair\""
    case .path(let path): path.map { "--at \($0)" } ?? "--at"
    case .followOptimizer(let path): "--optimizer \(path)=auto"
    case .keepOptimizers: "--optimizer keep"
    case .nameParameters: "--optimizer params=FILE"
    case .allowNew: "--allow-new"
    case .skipMismatched: "--skip-mismatched"
    case .resize: "--resize"
    case .keepNaN: "--on-nan keep"
    case .keepUnmergeable: "--keep-unmergeable"
    case .scale: "--scale"
    case .nameLayers: "--layers"
    case .newHead(let model): "--model \(model):classes=N"
    case .stripPrefix(let prefix): "--strip-prefix \(prefix)"
    case .listKeys: "\"ckpt ls\""
    case .showObjects: "\"ckpt show\""
    case .printRecipes: "\"ckpt recipes --yaml\""
    case .renameKeys: "\"ckpt rename-keys\""
    case .fold: "\"ckpt fold\""
    case .shard: "\"ckpt shard\""
    case .rebuildIndex: "\"ckpt join --index-only\""
    case .nameModels: "\"ckpt verify FILE\""
    case .checkAgainstModel: "\"ckpt check FILE --model NAME\""
    case .splitValidation: "--val"
    case .skipBadImages: "--skip-bad"
    case .nameHead: "--head"
    case .lowerMinimumLoaded: "--min-loaded"
    }
  }
}

extension Remedy {
  /// The sentence with the names of options.
  var optionText: String { text(naming: \.option) }
}

extension Diagnostic {
  /// The suggestions on one line, with the names of options; nil if there are none.
  var optionHint: String? {
    remedies.isEmpty ? nil : remedies.map(\.optionText).joined(separator: "; ")
  }
}

extension KeyRename {
  /// The option for the rule, and its value.
  var arguments: [String] {
    func escaped(_ old: String) -> String {
      old.split(separator: "=", omittingEmptySubsequences: false).joined(separator: "\\=")
    }
    return switch self {
    case .stripPrefix(let prefix): ["--strip-prefix", prefix]
    case .addPrefix(let prefix): ["--add-prefix", prefix]
    case .replacePrefix(let old, let new): ["--replace-prefix", "\(escaped(old))=\(new)"]
    case .replace(let old, let new): ["--replace", "\(escaped(old))=\(new)"]
    case .regex(let regex, let template): ["--regex", "\(regex)=>\(template)"]
    case .map(let names): ["--map", "of \(names.count) names"]
    }
  }
}

extension RenameSuggestion {
  /// The options with the same effect.
  package var arguments: [String] {
    selection.include.flatMap { ["--include", $0.written] }
      + selection.exclude.flatMap { ["--exclude", $0.written] }
      + renames.flatMap(\.arguments)
  }
}

extension KeyReport.Rule {
  /// The option with its value, as on the command line.
  var option: String {
    switch self {
    case .include(let pattern): "--include \(pattern.written)"
    case .exclude(let pattern): "--exclude \(pattern.written)"
    case .rename(let rule): rule.arguments.joined(separator: " ")
    case .mapEntry(let key): "--map \(key)"
    case .resize(let rule): "--resize \(rule.written)"
    }
  }
}
