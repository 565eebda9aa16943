/// The result of `str()` for a path of pathlib, from the constructor's arguments in a pickle.
///
/// The arguments are joined and normalized as by pathlib's constructors (CPython's
/// `posixpath.join`, `ntpath.join`, `ntpath.splitroot`, and `PurePath._parse_path`).
enum PlainPath {
  /// The path as text; nil if `cls` is not a class of pathlib, or the arguments are not supported.
  static func text(cls: String, arguments: [String]) -> String? {
    guard let name = cls.split(separator: ".").last, cls.hasPrefix("pathlib.") else { return nil }
    switch name {
    case "PurePosixPath", "PosixPath", "PurePath", "Path": return posix(arguments)
    case "PureWindowsPath", "WindowsPath": return windows(arguments)
    default: return nil
    }
  }

  private static func parts(_ text: String, _ separator: Character) -> [Substring] {
    text.split(separator: separator).filter { $0 != "." }
  }

  private static func posix(_ arguments: [String]) -> String {
    var joined = ""
    for argument in arguments {
      if argument.utf8.first == UInt8(ascii: "/") || joined.isEmpty {
        joined = argument
      } else {
        joined += (joined.utf8.last == UInt8(ascii: "/") ? "" : "/") + argument
      }
    }
    let slashes = joined.utf8.prefix { $0 == UInt8(ascii: "/") }.count
    // In POSIX, two leading slashes are kept, and three or more are one.
    let root = slashes == 0 ? "" : slashes == 2 ? "//" : "/"
    let text = root + parts(joined, "/").joined(separator: "/")
    return text.isEmpty ? "." : text
  }

  private struct Windows {
    var drive = ""
    var root = ""
    var tail = ""
  }

  /// `ntpath.splitroot`; nil for device paths (`\\?\…`, `\\.\…`).
  private static func split(_ path: String) -> Windows? {
    let scalars = Array(path.unicodeScalars)
    func text(_ range: some RangeExpression<Int>) -> String {
      var view = String.UnicodeScalarView()
      view.append(contentsOf: scalars[range])
      return String(view)
    }
    guard scalars.first == "\\" else {
      guard scalars.count >= 2, scalars[1] == ":" else { return Windows(tail: path) }
      let hasRoot = scalars.count > 2 && scalars[2] == "\\"
      return Windows(
        drive: text(0..<2), root: hasRoot ? "\\" : "", tail: text((hasRoot ? 3 : 2)...))
    }
    guard scalars.count >= 2, scalars[1] == "\\" else {
      return Windows(root: "\\", tail: text(1...))
    }
    if scalars.count >= 4, scalars[2] == "?" || scalars[2] == ".", scalars[3] == "\\" { return nil }
    guard let server = scalars[2...].firstIndex(of: "\\"),
      let share = scalars[(server + 1)...].firstIndex(of: "\\")
    else {
      return Windows(drive: path)
    }
    return Windows(drive: text(0..<share), root: "\\", tail: text((share + 1)...))
  }

  private static func windows(_ arguments: [String]) -> String? {
    var result = Windows()
    for argument in arguments {
      let backslashed = String(argument.map { $0 == "/" ? "\\" : $0 })
      guard let next = split(backslashed) else { return nil }
      if !next.root.isEmpty {
        if !next.drive.isEmpty || result.drive.isEmpty { result.drive = next.drive }
        (result.root, result.tail) = (next.root, next.tail)
      } else if !next.drive.isEmpty, next.drive.lowercased() != result.drive.lowercased() {
        result = next
      } else {
        if !next.drive.isEmpty { result.drive = next.drive }
        let needsSeparator = !result.tail.isEmpty && result.tail.last != "\\"
        result.tail += (needsSeparator ? "\\" : "") + next.tail
      }
    }
    // A network share is always rooted.
    if result.root.isEmpty, result.drive.hasPrefix("\\\\") { result.root = "\\" }
    let parts = parts(result.tail, "\\")
    // A first component that looks like a drive must not be mistaken for one.
    let isAmbiguous =
      result.drive.isEmpty && result.root.isEmpty
      && parts.first.flatMap { split(String($0)) }?.drive.isEmpty == false
    let text =
      result.drive + result.root + (isAmbiguous ? ".\\" : "") + parts.joined(separator: "\\")
    return text.isEmpty ? "." : text
  }
}
