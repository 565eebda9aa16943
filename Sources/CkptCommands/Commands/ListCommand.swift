internal import ArgumentParser
internal import StateDictKit

struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List the tensors: key, dtype, shape, bytes; totals; ties.")

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @Flag(help: "List what the optimizers keep, by the names of their parameters; --at names one.")
  var optimizer = false
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var common: CommonOptions

  private struct Optimizers: Encodable {
    let file: String
    let optimizers: [OptimizerListing]
  }

  private struct Listing: Encodable {
    struct Scheme: Encodable {
      var scale: Double?
      var zero_point: Int?
      var axis: Int?
      var scales: [Double]?
      var zero_points: [Double]?
    }
    struct Entry: Encodable {
      let key, dtype: String
      let shape, stride: [Int]
      let bytes: Int
      let storage: Int?
      let storage_offset: Int
      let requires_grad: Bool
      let parameter: Bool
      let quantization: Scheme?
      /// The block type in the file, if the elements are dequantized.
      let stored_as: String?
    }
    struct Other: Encodable {
      let key, type: String
      /// The dtype of a tensor that is not plain, if the file contains it.
      let dtype: String?
      let shape: [Int]?
    }
    let file, format, at: String
    /// Written when the report is printed.
    let tensors: [Entry] = []
    let others: [Other]
    /// Groups of keys with the same view, and groups that use the same storage.
    let ties, shared_storages: [[String]]
    let total_bytes, total_elements: Int
  }

  func run() throws {
    let checkpoint = try Checkpoint(contentsOf: file)
    guard !optimizer else {
      let found = try OptimizerListing.all(of: checkpoint, at: at).map(OptimizerListing.init)
      guard !common.json else { return try printJSON(Optimizers(file: file, optimizers: found)) }
      for (place, optimizer) in found.enumerated() {
        if place > 0 { print() }
        optimizer.show()
      }
      return
    }
    let at = try checkpoint.chosenPath(at)
    let all = try checkpoint.stateDict(at: at)
    try warnOfHooks(checkpoint, at: at)
    let stateDict = try selection.apply(to: all, of: file)
    if common.json {
      var storages: [ObjectIdentifier: Int] = [:]
      try printJSON(
        listing(checkpoint, at, stateDict), listing: "tensors",
        stateDict.tensors.lazy.map { entry($0, $1, &storages) })
    } else {
      table(stateDict, at)
    }
  }

  private func listing(_ checkpoint: Checkpoint, _ at: String, _ stateDict: StateDict) -> Listing {
    Listing(
      file: file, format: checkpoint.format.rawValue, at: at,
      others: stateDict.elements.compactMap { key, value in
        guard case .object(let object) = value else { return nil }
        return .init(
          key: key, type: object.summary, dtype: object.tensorLike?.dtype?.name,
          shape: object.tensorLike?.shape)
      },
      ties: stateDict.ties, shared_storages: stateDict.sharedStorages,
      total_bytes: stateDict.totalByteCount,
      total_elements: stateDict.totalElementCount)
  }

  private func entry(
    _ key: String, _ tensor: Tensor, _ storages: inout [ObjectIdentifier: Int]
  ) -> Listing.Entry {
    let identity = ObjectIdentifier(tensor.storage)
    let number = storages[identity] ?? storages.count
    if !tensor.isMeta { storages[identity] = number }
    return Listing.Entry(
      key: key, dtype: tensor.dtype.name, shape: tensor.shape, stride: tensor.strides,
      bytes: tensor.byteCount, storage: tensor.isMeta ? nil : number,
      storage_offset: tensor.offset, requires_grad: tensor.requiresGrad,
      parameter: tensor.isParameter, quantization: tensor.quantization.map(Self.scheme),
      stored_as: tensor.storage.blocks?.name)
  }

  /// The text of the array as in Swift, but much faster.
  private static func text(_ shape: [Int]) -> String {
    "[" + shape.map(String.init).joined(separator: ", ") + "]"
  }

  private static func scheme(_ quantization: Quantization) -> Listing.Scheme {
    switch quantization {
    case .perTensor(let scale, let zeroPoint): .init(scale: scale, zero_point: zeroPoint)
    case .perChannel(let axis, let scales, let zeroPoints),
      .perChannelFloat(let axis, let scales, let zeroPoints):
      .init(axis: axis, scales: scales, zero_points: zeroPoints)
    }
  }

  private func table(_ stateDict: StateDict, _ at: String) {
    var table = Table(["key", "dtype", "shape", "bytes", ""], rightAligned: [3])
    stateDict.forEach { key, value in
      switch value {
      case .tensor(let tensor):
        var notes: [String] = []
        if tensor.isMeta { notes.append("meta") }
        if let blocks = tensor.storage.blocks { notes.append("stored as \(blocks.name)") }
        if !tensor.isContiguous { notes.append("strides \(tensor.strides)") }
        switch tensor.quantization {
        case .perTensor(let scale, let zero)?: notes.append("scale \(scale), zero point \(zero)")
        case .perChannel(let axis, let scales, let zeros)?,
          .perChannelFloat(let axis, let scales, let zeros)?:
          let shown = zip(scales, zeros).prefix(4).map { scale, zero in
            "\(scale)/" + (Int(exactly: zero).map(String.init) ?? "\(zero)")
          }
          notes.append(
            "axis \(axis), scale/zero point " + shown.joined(separator: " ")
              + (scales.count > 4 ? " …" : ""))
        case nil: break
        }
        table.add([
          Messages.line(key), tensor.dtype.name, Self.text(tensor.shape),
          "\(tensor.byteCount)",
          notes.joined(separator: "; "),
        ])
      case .object(let object):
        guard let tensor = object.tensorLike else {
          table.add([Messages.line(key), "-", object.summary, "-", ""])
          return
        }
        table.add([
          Messages.line(key), tensor.dtype?.name ?? "-", tensor.shape.map(Self.text) ?? "-",
          "-",
          "of class \(Messages.line(tensor.className))",
        ])
      }
    }
    table.print()
    print()
    print(
      "\(stateDict.count) keys at \(Messages.line(at)), \(stateDict.totalElementCount) elements, "
        + bytesText(stateDict.totalByteCount))
    for tie in stateDict.ties {
      print("tied: " + tie.map { Messages.line($0) }.joined(separator: " = "))
    }
    let tied = Set(stateDict.ties)
    for keys in stateDict.sharedStorages where !tied.contains(keys) {
      print("share a storage: " + keys.map { Messages.line($0) }.joined(separator: ", "))
    }
  }
}
