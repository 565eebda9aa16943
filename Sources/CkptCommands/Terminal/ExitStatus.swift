internal import StateDictKit

/// The exit statuses of the command, with the numbers of sysexits(3).
enum ExitStatus {
  /// The status for an error category.
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
