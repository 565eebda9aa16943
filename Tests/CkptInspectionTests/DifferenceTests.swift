import Foundation
import CkptInspection
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Differences")
struct DifferenceTests {
  private func tensor(_ values: [Double]) throws -> Tensor {
    try Tensor(values, shape: [values.count])
  }

  private func difference(
    _ a: [Double], _ b: [Double], _ tolerance: Tolerance = .exact, workers: Int? = nil
  ) throws -> TensorDifference {
    var options = StateDictDifference.Options()
    options.tolerance = tolerance
    options.workers = workers
    options.withHistograms = true
    let found = try StateDictDifference(
      from: StateDict(["x": tensor(a)]), to: StateDict(["x": tensor(b)]), options: options)
    return try #require(found.entries.first?.difference)
  }

  @Test("They are those of the definition", arguments: 0..<20)
  func definition(seed: Int) throws {
    var random = SeededRandom(seed)
    let special = [Double.nan, .infinity, -.infinity, 0, -0.0]
    func number() -> Double {
      let pick = Int(random.next() % 40)
      return pick < special.count ? special[pick] : Double.random(in: -2...2, using: &random)
    }
    let a = (0..<9000).map { _ in number() }
    let b = a.map { random.next() % 4 == 0 ? number() : $0 }
    let rules: [Tolerance] = [
      .exact, .init(), .init(relative: 0.1), .init(absolute: 0.3, equalNaN: true),
      .init(relative: 0.2, absolute: 0.2),
    ]
    for rule in rules {
      let found = try difference(a, b, rule)
      let pairs = Array(zip(a, b))
      let finite = pairs.filter { $0.isFinite && $1.isFinite }
      #expect(found.differingCount == pairs.count { !rule.accepts($0, $1) })
      #expect(found.nanMismatchCount == pairs.count { $0.isNaN != $1.isNaN })
      #expect(
        found.maxAbsolute == .infinity || found.maxAbsolute == finite.map { abs($0 - $1) }.max())
      let change = finite.reduce(0) { $0 + ($1.1 - $1.0) * ($1.1 - $1.0) }.squareRoot()
      let (aa, bb) = (
        finite.reduce(0) { $0 + $1.0 * $1.0 }.squareRoot(),
        finite.reduce(0) { $0 + $1.1 * $1.1 }.squareRoot()
      )
      let cosine = finite.reduce(0) { $0 + $1.0 * $1.1 } / (aa * bb)
      #expect(abs(found.changeNorm - change) < 1e-9)
      #expect(abs(found.relativeChange - change / max(aa, bb)) < 1e-9)
      #expect(abs(found.cosine - cosine) < 1e-9)
    }
  }

  @Test("torch.allclose's rule is not symmetric, and takes no infinity for near")
  func rule() {
    let rule = Tolerance(relative: 0.1)
    #expect(rule.accepts(10, 11) && !rule.accepts(11.05, 10))
    #expect(rule.accepts(.infinity, .infinity) && !rule.accepts(.infinity, -.infinity))
    #expect(!rule.accepts(1, .infinity) && !rule.accepts(.nan, .nan))
    #expect(Tolerance(equalNaN: true).accepts(.nan, .nan))
    #expect(!Tolerance(absolute: 1e300, equalNaN: true).accepts(.nan, 1))
  }

  @Test("The number of threads does not change a bit")
  func threads() throws {
    var random = SeededRandom(1)
    let a = (0..<600_000).map { _ in Double.random(in: -1...1, using: &random) }
    let b = a.map { $0 * 1.01 }
    let one = try difference(a, b, workers: 1)
    for workers in [2, 5] {
      let other = try difference(a, b, workers: workers)
      #expect(other.changeNorm.bitPattern == one.changeNorm.bitPattern)
      #expect(other.cosine.bitPattern == one.cosine.bitPattern)
      #expect(other.histogram == one.histogram)
    }
  }

  @Test("Integers of 64 bits are told apart where floats are not")
  func integers() throws {
    let big: Int64 = 1 << 62
    let a = try Tensor([big, 5, -big], shape: [3])
    let b = try Tensor([big + 1, 5, -big - 3], shape: [3])
    let found = try StateDictDifference(from: StateDict(["n": a]), to: StateDict(["n": b]))
    #expect(!found.isEqual)
    #expect(found.entries.first?.difference?.differingCount == 2)
    #expect(found.entries.first?.difference?.maxAbsolute == 3)
  }

  @Test("Keys, shapes, dtypes and renamed tensors are told apart; what changed most comes first")
  func keys() throws {
    let a = StateDict([
      "same": try tensor([1, 2]), "little": try tensor([1, 1]), "much": try tensor([1, 1]),
      "shape": try tensor([1]), "old.name": try tensor([7, 8, 9]), "gone": try tensor([4]),
      "type": try Tensor([1, 2] as [Float], shape: [2]), "old.zero": try tensor([0, 0, 0]),
    ])
    let b = StateDict([
      "new.zero": try tensor([0, 0, 0]), "new.name": try tensor([7, 8, 9]),
      "type": try tensor([1, 2]), "same": try tensor([1, 2]), "little": try tensor([1, 1.5]),
      "much": try tensor([1, 9]), "shape": try tensor([1, 1]), "fresh": try tensor([5]),
    ])
    let found = try StateDictDifference(from: a, to: b)
    #expect(found.changed.map(\.key) == ["much", "little", "type"])
    #expect(found.renamed.map(\.old) == ["old.name", "old.zero"])
    #expect(found.renamed.map(\.new) == ["new.name", "new.zero"])
    #expect(found.onlyInA == ["gone"] && found.onlyInB == ["fresh"])
    #expect(found.mismatched == [ShapeMismatch(key: "shape", expected: [1], found: [2])])
    #expect(!found.isEqual)
    var page = ""
    found.writeHTML(a: "a", b: "b") { page += $0 }
    #expect(page.components(separatedBy: "<tr id=t").count == 4)
    var options = StateDictDifference.Options()
    options.ignoresType = true
    let types = try StateDictDifference(
      from: StateDict(["type": try Tensor([1, 2] as [Float], shape: [2])]),
      to: StateDict(["type": try tensor([1, 2])]), options: options)
    #expect(types.isEqual)
  }

  @Test("Keys that only look the same are two")
  func normalization() throws {
    let found = try StateDictDifference(
      from: StateDict(["caf\u{E9}": try tensor([1]), "x": try tensor([2])]),
      to: StateDict(["cafe\u{301}": try tensor([3]), "y": try tensor([2])]))
    #expect(found.renamed.count == 1 && found.onlyInA.count == 1 && found.onlyInB.count == 1)
  }
}
