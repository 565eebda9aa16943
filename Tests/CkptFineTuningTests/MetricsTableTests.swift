import CkptTestSupport
import FineTuning
import Foundation
import Testing

struct MetricsTableTests {
  private func epoch(_ number: Int, _ values: [Double], rates: [Double]) -> EpochMetrics {
    EpochMetrics(
      epoch: number, seconds: values[0], trainLoss: values[1], validationLoss: values[2],
      top1: values[3], top5: values[4], learningRates: rates)
  }

  /// What Python's `csv` and `repr` make of a table: each row as JSON, a number as `repr` prints what `float` reads.
  private func readByPython(_ table: MetricsTable) throws -> [[String]] {
    let folder = try TemporaryFolder()
    let file = try folder.write(Array(table.text.utf8), to: "metrics.csv")
    let program = """
      import csv, json, sys
      rows = list(csv.reader(open(sys.argv[1], newline=""), strict=True))
      numbers = lambda row: [row[0]] + [text and repr(float(text)) for text in row[1:]]
      print(json.dumps([rows[0]] + [numbers(row) for row in rows[1:]]))
      """
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["python3", "-c", program, file]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return try JSONDecoder().decode([[String]].self, from: data)
  }

  @Test func `Python reads the numbers back and would print them the same way`() throws {
    let awkward = [
      0.1, 1.0 / 3, 1e-5, 9.999e-5, 1e-4, 123_456_789, 1e15, 1e16, 1.2e16, 9_007_199_254_740_992,
      1e22, 2.2250738585072014e-308, -0.0, 1.7976931348623157e308, 1e-9,
    ]
    let table = MetricsTable(
      metrics: stride(from: 0, to: 15, by: 5).map {
        epoch($0 + 1, Array(awkward[$0..<$0 + 5]), rates: [0.001, awkward[$0]])
      })
    let rows = try readByPython(table)
    #expect(
      rows.first
        == ["epoch", "seconds", "train_loss", "val_loss", "top1", "top5", "lr_0", "lr_1"])
    let lines = table.text.components(separatedBy: "\r\n")
    #expect(lines.last == "" && lines.count == rows.count + 1)
    #expect(rows == lines.dropLast().map { $0.components(separatedBy: ",") })
    for (row, start) in zip(rows.dropFirst(), stride(from: 0, to: 15, by: 5)) {
      #expect(row[1...5].map { Double($0) } == awkward[start..<start + 5].map { $0 })
    }
  }

  @Test func `What is not finite stands as Python prints it, whatever the sign of NaN`() throws {
    let strange = [1, Double.nan, -.nan, .infinity, -.infinity]
    let rows = try readByPython(MetricsTable(metrics: [epoch(1, strange, rates: [])]))
    #expect(rows.last == ["1", "1.0", "nan", "nan", "inf", "-inf"])
  }

  @Test func `An epoch with fewer parameter groups leaves its last fields empty`() throws {
    let values = [1.0, 2, 3, 0.5, 1]
    let table = MetricsTable(
      metrics: [epoch(1, values, rates: [0.1]), epoch(2, values, rates: [0.1, 0.2])])
    let rows = try readByPython(table)
    #expect(rows.map(\.count) == [8, 8, 8])
    #expect(rows[1].last == "")
    #expect(try readByPython(MetricsTable(metrics: [])).map(\.count) == [6])
  }
}
