import CkptBytes
import CkptIO
import CkptPickle
import StateDictKit
import CkptTestSupport
import CkptZip

/// As PyTorch aligns records.
let pytorchPadding = ZipPadding(alignment: 64, fieldID: 0x4246, fill: UInt8(ascii: "Z"))

/// Archives as `torch.save` writes them, put together by hand.
extension TemporaryFolder {
  /// An archive of a graph of objects and its storages, `data/0`, `data/1`, ….
  ///
  /// - Returns: its path.
  func archive(_ graph: PickleGraph, _ storages: [[UInt8]] = []) throws -> String {
    try archive(pickle: graph.encoded(), storages)
  }

  /// An archive of a pickle and its storages.
  func archive(pickle: [UInt8], _ storages: [[UInt8]] = []) throws -> String {
    func record(_ name: String, _ bytes: [UInt8]) -> ZipRecord {
      ZipRecord(name: "x/" + name, content: .source(.bytes(bytes)))
    }
    let records =
      [record("data.pkl", pickle), record("byteorder", Array("little".utf8))]
      + storages.enumerated().map { record("data/\($0)", $1) }
      + [record("version", Array("3\n".utf8))]
    // Replaced as a whole: whoever has the one before open still reads it.
    let path = file("archive.pt")
    let output = try AtomicOutput(path: path, replacingExisting: true)
    try ZipWriter().write(ZipPlan(records, padding: pytorchPadding), to: output.file)
    try output.commit()
    return path
  }
}

extension PickleGraph {
  /// `module.name(*arguments)`.
  mutating func addCall(_ module: String, _ name: String, _ arguments: [Ref]) -> Ref {
    let callable = addGlobal(module, name)
    let tuple = addTuple(arguments)
    return addObject(.reduce(callable: callable, arguments: tuple))
  }

  /// The persistent id of storage number `number`.
  mutating func addStorage(_ cls: String, _ number: Int, count: Int) -> Ref {
    let items = [
      addString("storage"), addGlobal("torch", cls), addString("\(number)"), addString("cpu"),
      addInt(count),
    ]
    let tuple = addTuple(items)
    return add(.persistentID(tuple))
  }

  /// A tuple of ints.
  mutating func addInts(_ values: [Int]) -> Ref {
    let items = values.map { addInt($0) }
    return addTuple(items)
  }

  /// `OrderedDict()`.
  mutating func addHooks() -> Ref { addCall("collections", "OrderedDict", []) }

  /// A contiguous tensor of 32-bit floats on a storage of its own.
  mutating func addTensor(_ number: Int, shape: [Int]) -> Ref {
    let strides = Tensor.contiguousStrides(for: shape) ?? []
    let arguments = [
      addStorage("FloatStorage", number, count: shape.reduce(1, *)), addInt(0), addInts(shape),
      addInts(strides), addBool(false), addHooks(),
    ]
    return addCall("torch._utils", "_rebuild_tensor_v2", arguments)
  }

  /// A dict of str keys.
  mutating func addDict(_ entries: KeyValuePairs<String, Ref>) -> Ref {
    let edits = entries.map { Edit.setItem(key: addString($0.key), value: $0.value) }
    return addObject(.dict, edits: edits)
  }
}
