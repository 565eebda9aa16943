internal import CkptText
internal import CkptPickle
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptBytes
internal import CkptTensors

/// Reads a DeepSpeed folder of ZeRO stage 1, 2, or 3 as one state dict in float32. The result is
/// that of DeepSpeed's `zero_to_fp32.py`, but the tensors are read lazily.
enum DeepSpeedReader: FormatReader {
  static func recognizes(_ input: CheckpointInput) throws -> Bool {
    guard case .folder(let folder) = input else { return false }
    return try DeepSpeedFolder(folder) != nil
  }

  static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .folder(let outer) = input, let states = try DeepSpeedFolder(outer) else {
      throw FileError(.cannotOpen, "is no folder of DeepSpeed's", path: input.path)
    }
    var files: [File] = []
    func document(_ name: String) throws -> CheckpointDocument {
      let file = try states.folder.open(name)
      files.append(file)
      return try FormatRegistry.document(of: CheckpointInput(file))
    }
    let optimizers = try states.optimizerStates.map {
      try DeepSpeedOptimizerState(document($0))
    }
    let models = try states.modelStates.map { try DeepSpeedModelState(document($0)) }
    let merge = try DeepSpeedMerge(models, optimizers, path: states.folder.path)
    return try CheckpointDocument(
      merge.stateDict, format: .deepSpeed, path: outer.path, files: files)
  }
}

/// Combines the parts of all ranks.
private struct DeepSpeedMerge {
  private(set) var stateDict = StateDict()

  private let path: String
  private let models: [DeepSpeedModelState]
  private let optimizers: [DeepSpeedOptimizerState]

  /// The maximum number of float32 elements.
  private static let countLimit = Int.max / 8

  init(
    _ models: [DeepSpeedModelState], _ optimizers: [DeepSpeedOptimizerState], path: String
  ) throws {
    self.path = path
    self.models = models
    self.optimizers = optimizers
    guard let first = optimizers.first, let model = models.first else { throw bad("no states") }
    guard first.rankCount == optimizers.count else {
      throw bad(
        "\(first.rankCount) files of optimizer states are expected and \(optimizers.count) are there"
      )
    }
    guard optimizers.allSatisfy({ $0.stage == first.stage }) else {
      throw bad("the ranks disagree on the stage of ZeRO")
    }
    guard models.count == 1 || (first.stage == 3 && models.count == optimizers.count) else {
      throw bad(
        "\(models.count) files of model states: models that are spread over ranks by their layers "
          + "are not supported")
    }
    for (name, tensor) in model.buffers { stateDict[name] = try asFloat32(tensor) }
    if first.stage == 3 {
      try addFrozenParts(model)
      try addPartitioned(model)
    } else {
      for parameter in model.frozen {
        guard let tensor = model.frozenTensors[parameter.name], tensor.shape == parameter.shape
        else { throw bad("the frozen parameter \(parameter.name) is not there") }
        stateDict[parameter.name] = try asFloat32(tensor)
      }
      try addGroups(model, first.paddings)
    }
    for (name, source) in model.shared {
      if let tensor = stateDict[source] { stateDict[name] = tensor }
    }
  }

  private func bad(_ problem: String) -> CheckpointError {
    .notACheckpoint(file: path, Text.printable(problem))
  }

  private func asFloat32(_ tensor: Tensor) throws -> Tensor {
    var tensor = tensor
    if tensor.dtype.isFloat, !tensor.dtype.isComplex, tensor.dtype != .float32 {
      tensor = try tensor.converting(to: .float32)
    }
    tensor.isParameter = false
    tensor.requiresGrad = false
    tensor.origin = nil
    return tensor
  }

  private func count(of parameter: DeepSpeedModelState.Parameter) throws -> Int {
    var count = 1
    for size in parameter.shape {
      let (next, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow, next <= Self.countLimit else {
        throw bad("the parameter \(parameter.name) is too large")
      }
      count = next
    }
    return count
  }

  // MARK: - Pieces

  /// The bytes of a range of a flat tensor.
  private mutating func piece(_ tensor: Tensor, _ range: Range<Int>) -> ByteSource {
    let width = tensor.dtype.byteCount
    let start = (tensor.offset + range.lowerBound) * width
    return tensor.storage.source.part(start..<start + range.count * width)
  }

  /// The bytes of a range of consecutive flat tensors, as pieces.
  private mutating func pieces(_ tensors: [Tensor], _ range: Range<Int>) -> [ByteSource] {
    var found: [ByteSource] = []
    var start = 0
    for tensor in tensors {
      let end = start + tensor.elementCount
      let (low, high) = (max(range.lowerBound, start), min(range.upperBound, end))
      if low < high { found.append(piece(tensor, low - start..<high - start)) }
      start = end
    }
    return found
  }

  private mutating func add(
    _ parameter: DeepSpeedModelState.Parameter, _ pieces: [ByteSource], _ type: DType
  ) throws {
    guard let joined = JoinedBytes(pieces) else { throw TensorError.tooLarge }
    let source = pieces.count == 1 ? pieces[0] : ByteSource.computed(joined)
    do {
      let tensor = try Tensor(
        storage: Storage(source, name: parameter.name), dtype: type, shape: parameter.shape)
      stateDict[parameter.name] = try asFloat32(tensor)
    } catch let error as TensorError {
      throw bad("the parameter \(parameter.name): \(error.description)")
    }
  }

  // MARK: - Stages 1 and 2

  /// Adds the parameters of stages 1 and 2. In each group, the ranks' parts are consecutive, and
  /// contain the parameters consecutively.
  private mutating func addGroups(
    _ model: DeepSpeedModelState, _ paddings: [[Int]]?
  ) throws {
    guard optimizers.allSatisfy({ $0.flatGroups.count == model.groups.count }) else {
      throw bad("the numbers of groups differ between files")
    }
    for (number, group) in model.groups.enumerated() {
      let parts = optimizers.map { $0.flatGroups[number] }
      var available = 0
      for part in parts { available += part.elementCount }
      var padding: [Int]?
      if let paddings {
        guard number < paddings.count, paddings[number].count == group.count else {
          throw bad("the paddings of group \(number) are not those of its parameters")
        }
        padding = paddings[number]
      }
      var offset = 0
      for (index, parameter) in group.enumerated() {
        let count = try count(of: parameter)
        guard count <= available - offset else { throw tooFew(offset, count, available) }
        try add(parameter, pieces(parts, offset..<offset + count), .float32)
        offset += count
        if let padding {
          guard padding[index] <= Self.countLimit - offset else {
            throw bad("a padding is too large")
          }
          offset += padding[index]
        }
      }
      // Groups are padded to a multiple of twice the number of ranks.
      let alignment = 2 * optimizers.count
      func aligned(_ value: Int) -> Int { (value + alignment - 1) / alignment * alignment }
      guard aligned(offset) == aligned(available) else { throw tooFew(offset, 0, available) }
    }
  }

  private func tooFew(_ offset: Int, _ count: Int, _ available: Int) -> CheckpointError {
    bad("the parameters take \(offset + count) numbers, and \(available) are there")
  }

  // MARK: - Stage 3

  /// The number of elements of a parameter on each rank. In stage 3, each parameter is split to
  /// equal parts for all ranks, with padding after the last.
  private func partCount(_ count: Int) -> Int {
    count / optimizers.count + (count % optimizers.count == 0 ? 0 : 1)
  }

  private mutating func addPartitioned(_ model: DeepSpeedModelState) throws {
    let available = optimizers.map { $0.flatGroups.reduce(0) { $0 + $1.elementCount } }
    var offset = 0
    for parameter in model.groups.joined() {
      let count = try count(of: parameter)
      let part = partCount(count)
      var (left, found) = (count, [ByteSource]())
      for (rank, optimizer) in optimizers.enumerated() {
        guard part <= available[rank] - offset else { throw tooFew(offset, part, available[rank]) }
        let own = min(part, left)
        found += pieces(optimizer.flatGroups, offset..<offset + own)
        left -= own
      }
      try add(parameter, found, .float32)
      offset += part
    }
    for count in available where count != offset { throw tooFew(offset, 0, count) }
  }

  private mutating func addFrozenParts(_ model: DeepSpeedModelState) throws {
    for parameter in model.frozen {
      let count = try count(of: parameter)
      var (left, found) = (count, [ByteSource]())
      let type = model.frozenTensors[parameter.name]?.dtype ?? .float32
      for other in models {
        guard let part = other.frozenTensors[parameter.name], part.shape.count == 1,
          part.isContiguous, part.dtype == type
        else { throw bad("a part of the frozen parameter \(parameter.name) is not there") }
        let own = min(part.elementCount, left)
        if own > 0 { found.append(piece(part, 0..<own)) }
        left -= own
      }
      guard left == 0 else { throw tooFew(0, count, count - left) }
      try add(parameter, found, type)
    }
  }
}
