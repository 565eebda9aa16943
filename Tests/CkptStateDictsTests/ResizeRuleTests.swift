import CkptPatterns
import CkptPlatform
import CkptStateDicts
import CkptTensors
import Testing

@Suite("Rules for values of another shape, made in code")
struct ResizeRuleTests {
  private func stateDict(_ values: [Float], _ shape: [Int]) throws -> StateDict {
    var result = StateDict()
    result["embed"] = try Tensor(values, shape: shape)
    return result
  }

  @Test(arguments: [
    ("pad", ResizeMode.pad), ("pad-zeros", .padWithZeros),
    ("bicubic,prefix=1,to=2x3", .bicubic(prefix: 1, from: nil, to: .init(height: 2, width: 3))),
  ])
  func `A rule has the keys and the mode of the one that is read`(
    _ word: String, _ mode: ResizeMode
  ) throws {
    let pattern = try KeyPattern("glob:*bed")
    let (made, read) = (ResizeRule(pattern, mode), try ResizeRule("glob:*bed=" + word))
    #expect(made.keys == read.keys && made.mode == read.mode)
    #expect(made.written == "glob:*bed")
  }

  @Test func `It makes the same of a value`() throws {
    let (base, other) = (try stateDict([1, 2, 3], [3, 1]), try stateDict([7, 8], [2, 1]))
    let rule = ResizeRule(try KeyPattern("is:embed"), .padWithZeros)
    let (result, resized, unmatched) = try other.resized(toFit: base, [rule])
    #expect(try result["embed"]?.converting(to: .float32).floats() == [7, 8, 0])
    #expect(resized.map(\.key) == ["embed"] && unmatched.isEmpty)
  }

  @Test func `What cannot be made to fit is told with the key, the reason and what to read`() throws
  {
    let (base, other) = (try stateDict([1, 2], [1, 2]), try stateDict([7], [1, 1]))
    let rule = ResizeRule(try KeyPattern("is:embed"), .pad)
    let error = #expect(throws: ResizeError.self) { try other.resized(toFit: base, [rule]) }
    guard case .impossible("embed", let problem) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.kind == .badInput)
    #expect(error?.description == "cannot resize: \(problem) (key embed)")
    #expect(error?.hint == "docs/state-dicts.md tells what each mode of a ResizeRule takes")
  }
}
