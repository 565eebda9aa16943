import StateDictKit
import CkptTestSupport
import Testing

/// A merge that mergekit did, from `fixtures/merging.py`.
struct OracleCase: Decodable, CustomTestStringConvertible, Sendable {
  enum Value: Decodable {
    case number(Double)
    case flag(Bool)
    case list([Double])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let flag = try? container.decode(Bool.self) {
        self = .flag(flag)
      } else if let number = try? container.decode(Double.self) {
        self = .number(number)
      } else {
        self = .list(try container.decode([Double].self))
      }
    }
  }

  let method: String
  let inputs: [String]
  let base: Int?
  let parameters: [String: Value]
  let keys: [String]

  var testDescription: String { "\(method) \(parameters.keys.sorted())" }

  /// The same merge here.
  func merge(_ models: [String: StateDict]) throws -> StateDictMerge {
    var inputs = self.inputs.map { MergeInput(name: $0, stateDict: models[$0] ?? StateDict()) }
    let method = try #require(MergeMethod(name: self.method))
    var settings = MergeSettings()
    for (name, value) in parameters {
      let parameter = try #require(MergeParameter(rawValue: name))
      switch value {
      case .flag(let flag): settings[parameter] = MergeSetting(flag ? 1 : 0)
      case .number(let number): settings[parameter] = MergeSetting(number)
      case .list(let numbers):
        let takers = inputs.indices.filter { method.baseUse == .ignored || $0 != base }
        #expect(takers.count == numbers.count)
        for (index, number) in zip(takers, numbers) {
          inputs[index].settings[parameter] = MergeSetting(number)
        }
      }
    }
    var merge = StateDictMerge(method: method, inputs: inputs, base: base)
    merge.settings = settings
    return merge
  }
}

@Suite("Merges compared with mergekit's")
struct OracleTests {
  static let cases = (try? Fixtures.decode([OracleCase].self, from: "merging/cases.json")) ?? []

  static func models() throws -> [String: StateDict] {
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("merging/inputs.pt"))
    return try Dictionary(
      uniqueKeysWithValues: ["base", "one", "two", "three"].map {
        ($0, try checkpoint.stateDict(at: $0))
      })
  }

  /// How many representable numbers lie between two of a type; as many as can be if one is NaN and one is not.
  static func distance(_ left: [UInt8], _ right: [UInt8], _ type: DType) -> Int {
    let width = type.byteCount
    var most = 0
    for start in stride(from: 0, to: left.count, by: width) {
      /// The place of a number among all of its type.
      func position(_ bytes: [UInt8]) -> Int {
        let bits = (0..<width).reduce(UInt64(0)) {
          $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1)
        }
        let sign = UInt64(1) << UInt64(8 * width - 1)
        let size = Int(bits & (sign - 1))
        return bits & sign == 0 ? size : -size
      }
      most = max(most, abs(position(left) - position(right)))
    }
    return most
  }

  @Test(
    "Deterministic methods are at most one place of the result's type apart",
    arguments: cases.indices)
  func oracle(number: Int) throws {
    let item = Self.cases[number]
    let result = try item.merge(Self.models()).merged()
    let expected = try Checkpoint(contentsOf: Fixtures.path("merging/expected.pt")).stateDict()
    for key in item.keys {
      let tensor = try #require(result.stateDict[key])
      let other = try #require(expected["\(number).\(key)"])
      #expect(tensor.dtype == other.dtype)
      #expect(tensor.shape == other.shape)
      let apart = try Self.distance(
        tensor.contiguousBytes(), other.contiguousBytes(), tensor.dtype)
      // float64 is what both sides compute in, so there rounding shows.
      let limit = tensor.dtype == .float64 ? 1 << 14 : 1
      #expect(apart <= limit, "\(key)")
    }
  }

  @Test("There are cases for every method but those that mergekit lacks")
  func complete() {
    let methods = Set(Self.cases.compactMap { MergeMethod(name: $0.method) })
    let others = Set(MergeMethod.allCases).subtracting(methods)
    #expect(others == [.ema, .swa, .dellaLinear])
  }
}
