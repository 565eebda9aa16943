internal import CkptPlatform

/// A reader that is run on any bytes: by the fuzzer, and by the tests on the files of `FailCases`.
///
/// A reader may throw; what must not happen is a trap, an answer that contradicts itself, much time,
/// or much memory.
public struct FuzzTarget: Sendable {
  /// The name, as in `make fuzz TARGET=`.
  public let name: String
  private let body: @Sendable ([UInt8], FuzzFolder) throws -> Void

  init(_ name: String, _ body: @escaping @Sendable ([UInt8], FuzzFolder) throws -> Void) {
    self.name = name
    self.body = body
  }

  /// Runs the reader. Errors that it throws for bad input are expected.
  public func run(_ bytes: [UInt8], in folder: FuzzFolder) {
    do {
      try body(bytes, folder)
    } catch let fault as Fault {
      fatalError("\(name): \(fault.problem)")
    } catch let error as any Diagnostic {
      precondition(!error.description.isEmpty, "an error without a text")
    } catch {
      // The readers of parts have errors of their own, to which their callers add the file.
    }
  }

  /// All targets.
  public static let all: [FuzzTarget] = archives + pickles + headers + folders + texts + images

  /// The target with a name; nil if there is none.
  public static func named(_ name: String) -> FuzzTarget? { all.first { $0.name == name } }
}

/// Two answers contradict each other.
struct Fault: Error {
  let problem: String

  /// Throws a fault unless a condition holds.
  static func unless(_ holds: Bool, _ problem: @autoclosure () -> String) throws(Fault) {
    if !holds { throw Fault(problem: problem()) }
  }
}
