import CkptCommands
import StateDictKit
import CkptTestSupport
import Testing

/// What holds for every option of every command: it decides something in a call, or the call is refused.
@Suite("Options that decide nothing are refused")
struct OptionTests {
  let folder: TemporaryFolder
  let inputs: OptionInputs

  init() throws {
    folder = try TemporaryFolder()
    inputs = try OptionInputs(in: folder)
  }

  @Test("Every command declares every option, whatever the method and the format")
  func declared() throws {
    var commands = Set<String>()
    for call in inputs.calls {
      let undeclared = try OptionCatalogue.undeclared(in: call)
      #expect(undeclared.isEmpty, "\(call)")
      commands.insert(call[0])
    }
    // A plan's options are those of the command that it plans.
    #expect(
      Set(OptionCatalogue.all.map(\.command)).subtracting(commands).subtracting(["plan"]).isEmpty)
  }

  @Test("An option that is given changes what is written, or is refused with status 64")
  func decides() throws {
    for call in inputs.calls where inputs.writes(call) {
      let plain = try outcome(of: call)
      guard case .written = plain else {
        Issue.record("\(call): \(plain)")
        continue
      }
      for option in OptionCatalogue.all
      where option.command == call[0] && !option.isFree && !inputs.isGiven(option, in: call)
        && !OptionInputs.dependent.contains(option.name)
        && (inputs.isWhole(call) || OptionInputs.ofOutputs.contains(option.name))
      {
        guard let values = inputs.values(of: option, in: call) else {
          Issue.record("no value is known for --\(option.name) of \(option.command)")
          continue
        }
        let changed = try values.contains { value in
          let words = option.takesValue ? [option.spelling, value] : [value]
          let found = try outcome(of: call + words)
          return found != plain
        }
        #expect(changed, "\(call.joined(separator: " ")) \(option.spelling) \(values)")
      }
    }
  }

  @Test("An option that takes one value is refused when it is given twice")
  func twice() throws {
    var seen = Set<String>()
    for call in inputs.calls where seen.insert(call[0]).inserted {
      for option in OptionCatalogue.all
      where option.command == call[0] && option.takesValue && !option.isRepeatable {
        let given = inputs.isGiven(option, in: call) ? 1 : 2
        let value = inputs.values(of: option, in: call)?.first ?? "x"
        let words = [[String]](repeating: [option.spelling, value], count: given).flatMap(\.self)
        #expect(CommandLineTool.run(call + words) == 64, "\(call) \(words)")
      }
    }
    #expect(try folder.names().filter { $0.hasPrefix("out") }.isEmpty)
  }

  /// What a call comes to.
  private enum Outcome: Equatable, CustomStringConvertible {
    case refused, failed(Int32)
    case written([String: [UInt8]])

    var description: String {
      switch self {
      case .refused: "refused"
      case .failed(let status): "status \(status)"
      case .written(let files): "\(files.keys.sorted())"
      }
    }
  }

  private func outcome(of call: [String]) throws -> Outcome {
    let status = CommandLineTool.run(call)
    defer { inputs.removeOutputs() }
    switch status {
    // Status 1 is that of `repair` where something is lost.
    case 0, 1: return .written(try inputs.outputs())
    case 64: return .refused
    default: return .failed(status)
    }
  }
}
