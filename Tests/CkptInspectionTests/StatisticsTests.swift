import Foundation
import CkptInspection
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Statistics")
struct StatisticsTests {
  /// Numbers around `centre`, with what is not finite among them.
  private func numbers(_ count: Int, seed: Int, centre: Float = 3, special: Bool = true) -> [Float]
  {
    var random = SeededRandom(seed)
    return (0..<count).map { _ in
      switch special ? random.next() % 50 : 9 {
      case 0: .nan
      case 1: .infinity
      case 2: -.infinity
      case 3: 0
      default: centre + Float.random(in: -1...1, using: &random)
      }
    }
  }

  private func statistics(_ values: [Float], workers: Int? = nil) throws -> TensorStatistics {
    let stateDict = StateDict(["x": try Tensor(values, shape: [values.count])])
    let found = try StateDictStatistics(stateDict, withHistograms: true, workers: workers)
    return try #require(found.entries.first?.statistics)
  }

  @Test("They are those of the definition", arguments: [0, 1, 7, 8, 9, 4095, 4096, 4097, 20_000])
  func definition(count: Int) throws {
    let values = numbers(count, seed: count)
    let finite = values.filter(\.isFinite).map(Double.init)
    let known = values.filter { !$0.isNaN }.map(Double.init)
    let found = try statistics(values)
    #expect(found.count == count && found.nanCount == count - known.count)
    #expect(found.infiniteCount == known.count - finite.count)
    #expect(found.zeroCount == finite.count { $0 == 0 })
    #expect(found.min == known.min() ?? .nan || known.isEmpty && found.min.isNaN)
    #expect(found.max == known.max() ?? .nan || known.isEmpty && found.max.isNaN)
    guard finite.count > 1 else {
      #expect(found.standardDeviation.isNaN)
      return
    }
    let mean = finite.reduce(0, +) / Double(finite.count)
    let squares = finite.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    #expect(abs(found.mean - mean) < 1e-12)
    #expect(
      abs(found.standardDeviation - (squares / Double(finite.count - 1)).squareRoot()) < 1e-12)
  }

  @Test("A large mean does not drown a small deviation")
  func cancellation() throws {
    let values = (0..<100_000).map { Float(4096 + $0 % 2) }
    let found = try statistics(values)
    #expect(found.mean == 4096.5)
    #expect(abs(found.standardDeviation - (0.25 * 100_000 / 99_999).squareRoot()) < 1e-12)
  }

  @Test("The number of threads does not change a bit")
  func threads() throws {
    let values = numbers(700_000, seed: 3)
    let one = try statistics(values, workers: 1)
    for workers in [2, 3, 7] {
      let other = try statistics(values, workers: workers)
      #expect(other.mean.bitPattern == one.mean.bitPattern)
      #expect(other.standardDeviation.bitPattern == one.standardDeviation.bitPattern)
      #expect(other.norm.bitPattern == one.norm.bitPattern)
      #expect(other.histogram == one.histogram)
    }
  }

  @Test(
    "A histogram counts what lies between its bins' ends",
    arguments: [Float(1e-30), 0.001, 1, 3e4, 1e30])
  func histogram(scale: Float) throws {
    let values = numbers(30_000, seed: 5, centre: 0.3).map { $0 * scale } + [scale * 40]
    let finite = values.filter(\.isFinite).map(Double.init)
    let bins = try #require(try statistics(values).histogram)
    #expect(bins.counts.count <= 48 && bins.counts.first != 0 && bins.counts.last != 0)
    for (index, count) in bins.counts.enumerated() {
      let low = bins.low + Double(index) * bins.width
      #expect(count == finite.count { $0 >= low && $0 < low + bins.width })
    }
  }

  @Test("Numbers of one value, tiny ones and none have a histogram too")
  func edges() throws {
    #expect(try statistics([]).histogram == nil)
    #expect(try statistics([.nan, .infinity]).histogram == nil)
    for value in [0, -0.0, 1, -1, .leastNonzeroMagnitude, .greatestFiniteMagnitude] as [Float] {
      let bins = try #require(try statistics([value, value]).histogram)
      #expect(bins.counts.reduce(0, +) == 2)
    }
    let wide = try Tensor(
      [.leastNonzeroMagnitude, -.leastNonzeroMagnitude, 1.7e308, -1.7e308, 0], shape: [5])
    let found = try StateDictStatistics(StateDict(["x": wide]), withHistograms: true)
    #expect(found.entries.first?.statistics?.histogram?.counts.reduce(0, +) == 5)
  }

  @Test("A page escapes what a key could smuggle in, and has a row and a picture for each tensor")
  func page() throws {
    var stateDict = StateDict()
    stateDict["<script>alert('x')</script>\u{202E}\n&"] = try Tensor([1, 2] as [Float], shape: [2])
    stateDict["layer.1.weight"] = try Tensor([.nan, 1, 0] as [Float], shape: [3])
    stateDict["empty"] = try Tensor([] as [Float], shape: [0, 4])
    stateDict["meta"] = try Tensor(
      storage: Storage(bytes: []), dtype: .float32, shape: [2], isMeta: true)
    let found = try StateDictStatistics(stateDict, withHistograms: true)
    var page = ""
    found.writeHTML(title: "a<b>.pt") { page += $0 }
    #expect(!page.contains("<script>alert") && !page.contains("a<b>"))
    #expect(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"))
    #expect(!page.contains("\u{202E}"))
    #expect(page.components(separatedBy: "<tr id=t").count == 5)
    #expect(!page.contains("http:") && !page.contains("https:") && !page.contains("//"))
    var empty = ""
    try StateDictStatistics(StateDict()).writeHTML(title: "") { empty += $0 }
    #expect(empty.hasSuffix("</html>\n"))
  }
}
