public import CkptIO
internal import CkptPickle

/// Options for repairing a damaged file.
public struct RepairOptions: Sendable {
  /// What happens to tensors of which bytes are missing.
  public enum PartialTensors: String, Sendable, CaseIterable {
    /// They are left out.
    case drop
    /// Missing bytes are written as zeros.
    case zeros
  }

  /// What happens to tensors of which bytes are missing.
  public var partial = PartialTensors.drop
  /// Whether data that may be damaged is kept unchanged: storages that do not match their checksum,
  /// and objects from a damaged pickle.
  public var keepsUnverified = false

  /// Creates the default options: what is incomplete or may be damaged is left out.
  public init() {}
}

/// What was saved of a damaged file, and what was lost.
public struct RepairedCheckpoint: Sendable {
  /// An object that is not in the result, or not completely.
  public struct Loss: Sendable, Hashable {
    /// The path of the object in the file; keys are joined by `/`.
    public let path: String
    /// The dtype of a tensor; nil if it is unknown, or the object is not a tensor.
    public let dtype: String?
    /// The shape of a tensor; nil if it is unknown, or the object is not a tensor.
    public let shape: [Int]?
    /// Why the object is incomplete.
    public let reason: String

    /// Creates a description of a loss.
    package init(path: String, dtype: String? = nil, shape: [Int]? = nil, reason: String) {
      self.path = path
      self.dtype = dtype
      self.shape = shape
      self.reason = reason
    }
  }

  /// What was saved.
  public let checkpoint: Checkpoint
  /// Whether the file is not damaged; then everything was saved.
  public let isIntact: Bool
  /// What is wrong with the file, besides single tensors.
  public package(set) var problems: [String]
  /// The objects that are not in the result.
  public package(set) var lost: [Loss]
  /// The tensors with zeros in place of missing bytes.
  public package(set) var filled: [Loss]
  /// The tensors that may be damaged, since they do not match a checksum.
  public package(set) var unverified: [Loss]
  /// Whether unknown objects are missing, because their names are lost.
  public package(set) var lacksObjects: Bool
  /// The number of tensors in the result, including those with zeros.
  public let tensorCount: Int

  /// Whether the result lacks anything of the original, or has zeros in its place, or may be
  /// damaged.
  public var isIncomplete: Bool {
    !lost.isEmpty || !filled.isEmpty || !unverified.isEmpty || lacksObjects
  }

  /// Creates a result.
  ///
  /// - Throws: `PickleError` for an invalid graph.
  init(
    _ checkpoint: Checkpoint, isIntact: Bool = false, problems: [String] = [], lost: [Loss] = [],
    filled: [Loss] = [], unverified: [Loss] = [], lacksObjects: Bool = false
  ) throws {
    self.checkpoint = checkpoint
    self.isIntact = isIntact
    self.problems = problems
    self.lost = lost
    self.filled = filled
    self.unverified = unverified
    self.lacksObjects = lacksObjects
    tensorCount = try checkpoint.reachableTensorCount()
  }
}
