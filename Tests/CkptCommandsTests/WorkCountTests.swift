import CkptCommands
import CkptPlatform
import CkptTestSupport
import StateDictKit
import Testing

/// Files are opened once, keys are compared once, outputs are laid out once.
@Suite struct WorkCountTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// What a call did.
  private func counted(_ arguments: String..., status: Int32 = 0) throws -> WorkCounters {
    let counters = WorkCounters()
    WorkCounters.$current.withValue(counters) {
      #expect(CommandLineTool.run(arguments) == status)
    }
    return counters
  }

  @Test func `verify opens its file once, decodes its pickle once and reads each byte once`() throws
  {
    // Large enough for headers, directory and pickle not to count.
    let large = try Tensor([Float](repeating: 1, count: 1 << 20), shape: [1 << 20])
    let file = folder.file("large.pt")
    let size = try Checkpoint(StateDict(["a": large, "b": large])).write(to: file)
    let alone = try counted("verify", file)
    #expect(alone[.open] == 1)
    #expect(alone[.pickleDecoded] == 1)
    #expect(alone[.byteRead] >= size - 4096)
    // The end of an archive, where its directory is searched, is read for the checksums and for the checkpoint.
    #expect(alone[.byteRead] < size + 3 * 65536)
    let path = Fixtures.path("models/trained_resnet18.pt")
    let model = try counted("verify", path, "--model", "resnet18", "--steps", "0")
    #expect(model[.open] == 1)
    #expect(model[.pickleDecoded] == 1)
    #expect(model[.keyReport] <= 1)
  }

  @Test func `filter opens once, compares keys once, searches optimizers once, lays out once`()
    throws
  {
    let made = try counted(
      "filter", Fixtures.path("training.pt"), "--include", "in:weight", "-o", folder.file("a.pt"))
    #expect(made[.open] == 1)
    #expect(made[.pickleDecoded] == 1)
    #expect(made[.keyReport] == 1)
    #expect(made[.optimizerSearch] <= 1)
    // The output, and the archive in it.
    #expect(made[.layout] == 2)
  }

  @Test func `merge opens each input once and compares the keys of the other once`() throws {
    let base = Fixtures.path("demo_fresh.pt")
    let made = try counted(
      "merge", base, base, "--include", "in:weight", "-o", folder.file("a.pt"))
    #expect(made[.open] == 2)
    #expect(made[.keyReport] == 1)
    #expect(made[.layout] == 2)
  }
}
