internal import CkptText

/// A rule that renames keys.
public enum KeyRename: Sendable, Hashable, CustomStringConvertible {
  /// Removes the text from keys that begin with it.
  case stripPrefix(String)
  /// Adds the text before each key.
  case addPrefix(String)
  /// Replaces the first text by the second in keys that begin with it.
  case replacePrefix(String, with: String)
  /// Replaces each occurrence of the first text by the second, as in Python's `str.replace`.
  case replace(String, with: String)
  /// Replaces each match of the regular expression by the template, which may contain `$1`,
  /// `${name}`, and `$$`.
  case regex(String, template: String)
  /// Renames the keys in the dictionary to their values.
  case map([String: String])

  /// Parses `OLD=NEW`; `\=` is an equals sign in OLD.
  ///
  /// - Throws: ``PatternError`` if there is no equals sign.
  public static func pair(_ written: String) throws(PatternError) -> (old: String, new: String) {
    var old = ""
    var rest = written[...]
    while let scalar = rest.first {
      rest = rest.dropFirst()
      if scalar == "=" { return (old, String(rest)) }
      if scalar == "\\", rest.first == "=" {
        rest = rest.dropFirst()
        old.append("=")
      } else {
        old.append(scalar)
      }
    }
    throw PatternError(
      rename: written, "there is no \"=\": write OLD=NEW", at: written.unicodeScalars.count)
  }

  /// Parses `RE=>TEMPLATE`.
  ///
  /// - Throws: ``PatternError`` with the position of an error in the expression or the template.
  public static func regexRule(_ written: String) throws(PatternError) -> KeyRename {
    guard let arrow = written.utf8.firstRange(of: Array("=>".utf8), from: 0) else {
      throw PatternError(
        rename: written, "there is no \"=>\": write RE=>TEMPLATE",
        at: written.unicodeScalars.count)
    }
    let start = written.utf8.index(written.startIndex, offsetBy: arrow.lowerBound)
    let end = written.utf8.index(start, offsetBy: 2)
    let regex = String(written[..<start])
    let rule = KeyRename.regex(regex, template: String(written[end...]))
    do throws(PatternError) {
      _ = try rule.renamer()
    } catch {
      let isTemplate = error.subject == .rename
      throw error.within(written, after: isTemplate ? regex.unicodeScalars.count + 2 : 0)
    }
    return rule
  }

  /// The rule on one line, such as `replace ".bn." by ".norm."`.
  public var description: String {
    switch self {
    case .stripPrefix(let prefix): "strip the prefix \"\(prefix)\""
    case .addPrefix(let prefix): "add the prefix \"\(prefix)\""
    case .replacePrefix(let old, let new): "replace the prefix \"\(old)\" by \"\(new)\""
    case .replace(let old, let new): "replace \"\(old)\" by \"\(new)\""
    case .regex(let regex, let template): "replace matches of \(regex) by \"\(template)\""
    case .map(let names): "map \(names.count) names"
    }
  }

  /// Creates the function that renames keys, to be used for many keys.
  ///
  /// - Throws: ``PatternError`` for an empty prefix, an invalid expression, or an invalid template.
  package func renamer() throws(PatternError) -> (String) -> String {
    switch self {
    case .stripPrefix(let prefix):
      return try KeyRename.replacePrefix(prefix, with: "").renamer()
    case .addPrefix(let prefix):
      return { prefix + $0 }
    case .replacePrefix(let old, let new):
      guard !old.isEmpty else { throw PatternError(rename: old, "the prefix is empty") }
      let bytes = Array(old.utf8)
      return { key in
        guard key.utf8.starts(with: bytes) else { return key }
        return new + String(decoding: key.utf8.dropFirst(bytes.count), as: UTF8.self)
      }
    case .replace(let old, let new):
      guard !old.isEmpty else { throw PatternError(rename: old, "the text to replace is empty") }
      let bytes = Array(old.utf8)
      return { key in
        var renamed: [UInt8] = []
        var position = 0
        while let range = key.utf8.firstRange(of: bytes, from: position) {
          renamed += key.utf8.dropFirst(position).prefix(range.lowerBound - position)
          renamed += new.utf8
          position = range.upperBound
        }
        return position == 0
          ? key : String(decoding: renamed + key.utf8.dropFirst(position), as: UTF8.self)
      }
    case .map(let names):
      let names = ExactDictionary(names)
      return { names[$0] ?? $0 }
    case .regex(let text, let template):
      let regex = try KeyRegex(text)
      let template = try RenameTemplate(template, for: regex)
      return { key in
        let scalars = Array(key.unicodeScalars)
        let matches = regex.matches(in: scalars)
        if matches.isEmpty { return key }
        var renamed = String.UnicodeScalarView()
        var position = 0
        for groups in matches {
          guard let whole = groups[0] else { continue }
          renamed.append(contentsOf: scalars[position..<whole.lowerBound])
          template.append(to: &renamed, scalars, groups)
          position = whole.upperBound
        }
        renamed.append(contentsOf: scalars[position...])
        return String(renamed)
      }
    }
  }
}
