import CkptIO
import CkptInspection
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

/// What PyTorch says of a fixture's numbers (`fixtures/accounts.py`).
struct Account: Decodable, CustomTestStringConvertible {
  struct Entry: Decodable {
    let key: String
    let digest: String
    /// Numbers as Python writes them.
    let statistics: [String: String]?
  }
  let at: String
  let digest: String
  let tensors: [Entry]
  var testDescription: String { at }
}

private enum Accounts {
  static let all: [String: Account] =
    (try? Fixtures.decode([String: Account].self, from: "accounts/accounts.json")) ?? [:]
  static let names = all.keys.sorted()
}

@Suite("What PyTorch says of the same tensors")
struct AccountTests {
  private func stateDict(_ name: String) throws -> (StateDict, Account) {
    let account = try #require(Accounts.all[name])
    let all = try Checkpoint(contentsOf: Fixtures.path(name + ".pt")).stateDict(at: account.at)
    // PyTorch's account is of plain tensors; tensors of other classes have tests of their own.
    return (all.filter { _, value in value.tensor != nil }, account)
  }

  @Test("There are accounts of many fixtures")
  func accounts() { #expect(Accounts.all.count > 20) }

  @Test("Min, max, mean, std, norm, zeros, NaN and Inf", arguments: Accounts.names)
  func statistics(name: String) throws {
    let (stateDict, account) = try stateDict(name)
    let found = try StateDictStatistics(stateDict, withHistograms: true).entries
    try #require(found.map(\.key) == account.tensors.map(\.key))
    for (entry, expected) in zip(found, account.tensors) {
      guard let numbers = expected.statistics else {
        #expect(entry.statistics == nil)
        continue
      }
      let own = try #require(entry.statistics)
      let values = [
        "min": own.min, "max": own.max, "mean": own.mean, "std": own.standardDeviation,
        "norm": own.norm,
        "zeros": Double(own.zeroCount), "nan": Double(own.nanCount),
        "inf": Double(own.infiniteCount),
      ]
      for (what, value) in values {
        let wanted = try #require(numbers[what].flatMap(Double.init))
        let isSame = value == wanted || (value.isNaN && wanted.isNaN)
        // dequantize() and hypot round where this does not, or otherwise.
        let isNear = abs(value - wanted) <= 1e-6 * abs(wanted) + 1e-12
        #expect(isSame || isNear, "\(entry.key) \(what): \(value) is not \(wanted)")
      }
      #expect(own.count == entry.tensor.elementCount)
      #expect((own.histogram?.counts ?? []).reduce(0, +) == own.finiteCount)
    }
  }

  @Test("Digests", arguments: Accounts.names)
  func digests(name: String) throws {
    let (stateDict, account) = try stateDict(name)
    let found = try StateDictDigest(stateDict)
    #expect(found.digest.description == account.digest)
    for (entry, expected) in zip(found.entries, account.tensors) {
      #expect(entry.digest.description == expected.digest, "\(entry.key)")
    }
  }

  @Test("Nothing differs from itself", arguments: Accounts.names)
  func same(name: String) throws {
    let (stateDict, _) = try stateDict(name)
    let found = try StateDictDifference(from: stateDict, to: stateDict)
    #expect(found.isEqual)
    #expect(found.entries.count == stateDict.tensors.count)
  }
}
