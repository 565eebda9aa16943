internal import StateDictKit

/// The exit statuses of the command, as sysexits(3) numbers them.
enum ExitStatus {
  /// The status that tells of an error of a category.
  static func of(_ kind: DiagnosticKind) -> Int32 {
    switch kind {
    case .usage: 64  // EX_USAGE
    case .badInput: 65  // EX_DATAERR
    case .cannotOpen: 66  // EX_NOINPUT
    case .cannotCreate: 73  // EX_CANTCREAT
    case .inputOutput: 74  // EX_IOERR
    case .interrupted: 130  // 128 + SIGINT
    }
  }
}
