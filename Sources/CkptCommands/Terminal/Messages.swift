internal import CkptPlatform
internal import CkptText

/// Messages on stderr. Everything that the command writes there passes here.
enum Messages {
  /// Writes a line, in which what is not printable is escaped. Errors are ignored, since there is no
  /// other place to report them.
  static func write(_ text: String) {
    // What was printed before appears before.
    StandardOutput.flush()
    try? StandardStream.error.write(Array((line(text) + "\n").utf8))
  }

  /// Writes a warning.
  static func warn(_ text: String) { write("ckpt: warning: " + text) }

  /// Draws a line over the one that was drawn before.
  static func draw(_ text: String) {
    try? StandardStream.error.write(Array(("\r" + line(text)).utf8))
  }

  /// Takes a line away that was drawn, and returns to its start.
  static func erase(width: Int) {
    let spaces = String(repeating: " ", count: width)
    try? StandardStream.error.write(Array(("\r" + spaces + "\r").utf8))
  }

  /// The text on one line, with what is not printable escaped; see `Text.escaped(_:)`.
  static func line(_ text: String) -> String { Text.escaped(text) }
}
