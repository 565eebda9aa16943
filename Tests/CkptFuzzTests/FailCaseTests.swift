import CkptFuzzTargets
import CkptTestSupport
import Foundation
import Testing

@Suite("Inputs that the fuzzer found")
struct FailCaseTests {
  /// A file of `FuzzTesting/FailCases`, in a folder with its target's name.
  struct Case: CustomTestStringConvertible, Sendable {
    let target: String
    let name: String
    var testDescription: String { "\(target)/\(name)" }
  }

  private static let folder = Fixtures.folder.deletingLastPathComponent()
    .appending(path: "FuzzTesting/FailCases")

  private static let cases: [Case] = {
    let manager = FileManager.default
    let targets = (try? manager.contentsOfDirectory(atPath: folder.path)) ?? []
    return targets.sorted().flatMap { target in
      let names = try? manager.contentsOfDirectory(
        atPath: folder.appending(path: target).path)
      return (names ?? []).sorted().map { Case(target: target, name: $0) }
    }
  }()

  @Test("Each is read or refused, and no reader contradicts itself", arguments: cases)
  func failCase(example: Case) throws {
    let target = try #require(FuzzTarget.named(example.target), "there is no such target")
    let file = Self.folder.appending(path: "\(example.target)/\(example.name)")
    target.run([UInt8](try Data(contentsOf: file)), in: try FuzzFolder())
  }

  @Test("Every target reads or refuses its own kind of file, cut off at any place, and no bytes")
  func cutOff() throws {
    #expect(Set(FuzzTarget.all.map(\.name)).count == FuzzTarget.all.count)
    let examples = [
      "zip": "one_tensor.pt", "checkpoint": "views.pt", "legacy": "legacy_views.pt",
      "tar": "legacy_tar.pt", "npz": "formats_more/arrays.npz", "image": "images/png_rgb.png",
      "safetensors": "formats/layers.safetensors", "npy": "formats_more/fortran.npy",
      "gguf": "formats_more/quantized.gguf", "json": "one_tensor.json",
    ]
    let folder = try FuzzFolder()
    for target in FuzzTarget.all {
      target.run([], in: folder)
      guard let example = examples[target.name] else { continue }
      let bytes = try contents(of: Fixtures.path(example))
      for count in stride(from: 0, through: bytes.count, by: max(1, bytes.count / 40)) {
        target.run(Array(bytes.prefix(count)), in: folder)
      }
    }
  }
}
