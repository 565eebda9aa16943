internal import CkptText
internal import OrderedCollections
public import CkptTensors

/// A value that is not a plain tensor; it is kept and written back unchanged.
public struct OpaqueObject: Sendable {
  /// A short description, such as "sparse_coo tensor".
  public let summary: String
  /// The plain tensors inside it.
  public let tensors: [Tensor]
  /// The object in a checkpoint that it was read from; nil for a new one.
  public let origin: TensorOrigin?
  /// Its class, shape and dtype in PyTorch, if it is a tensor subclass or a sparse tensor.
  public let tensorLike: TensorLike?
  private let makeContent: (@Sendable () -> ObjectContent?)?
  /// The identity that copies of one object share.
  private let identity = ObjectIdentity()

  /// Its full content for comparison; nil if it is unknown or too large to describe.
  public var content: ObjectContent? { makeContent?() }

  /// Whether its content is known, unless it turns out to be too large to describe.
  package var canBeDescribed: Bool { makeContent != nil }

  /// The outer class, shape and dtype of a tensor that is not a plain one.
  public struct TensorLike: Sendable, Hashable {
    /// Its class, such as `torchao.quantization.Int8Tensor`; `sparse` for sparse ones of PyTorch's.
    public let className: String
    /// Its shape; nil where the file does not say.
    public let shape: [Int]?
    /// The dtype that PyTorch reports for it; nil where the file does not say.
    public let dtype: DType?

    /// A tensor of that class.
    public init(className: String, shape: [Int]?, dtype: DType?) {
      self.className = className
      self.shape = shape
      self.dtype = dtype
    }
  }

  /// An object that was read at `origin`; `content` computes its full content on demand.
  public init(
    summary: String, tensors: [Tensor] = [], origin: TensorOrigin? = nil,
    tensorLike: TensorLike? = nil, content: (@Sendable () -> ObjectContent?)? = nil
  ) {
    self.summary = summary
    self.tensors = tensors
    self.origin = origin
    self.tensorLike = tensorLike
    makeContent = content
  }

  /// Whether both are the same object of one document, or copies of one that was made here.
  func isSame(as other: OpaqueObject) -> Bool {
    guard let origin, let others = other.origin else { return identity === other.identity }
    return origin.node == others.node && origin.document === others.document
  }
}

/// The identity of an object that was not read from a file.
private final class ObjectIdentity: Sendable {}

/// The full content of an object, for comparison with another one.
public struct ObjectContent: Sendable {
  /// Everything but the tensors' elements, as text to compare.
  public let description: String
  /// The tensors in it, by the paths that lead to them inside it.
  public let tensors: [(name: String, tensor: Tensor)]

  /// An object of that description, with those tensors.
  public init(description: String, tensors: [(name: String, tensor: Tensor)]) {
    self.description = description
    self.tensors = tensors
  }
}

/// PyTorch's state dict: an ordered mapping from keys to tensors. A value, cheap to copy.
///
/// Keys are compared as Python does, code point by code point: `é` and `e` with an accent are two
/// keys.
public struct StateDict: Sendable {
  /// The value of an entry.
  public enum Value: Sendable {
    /// A tensor, a parameter.
    case tensor(Tensor)
    /// Anything else: a sparse tensor, a module's extra state, a number.
    case object(OpaqueObject)

    /// The tensor; nil for any other object.
    public var tensor: Tensor? { if case .tensor(let tensor) = self { tensor } else { nil } }
    /// The object in a checkpoint that it was read from; nil for a new one.
    public var origin: TensorOrigin? {
      switch self {
      case .tensor(let tensor): tensor.origin
      case .object(let object): object.origin
      }
    }
    /// The tensor itself, or the tensors inside the object.
    public var tensors: [Tensor] {
      switch self {
      case .tensor(let tensor): [tensor]
      case .object(let object): object.tensors
      }
    }
  }

  /// One module's entry in PyTorch's `_metadata`, such as its version.
  public struct ModuleMetadata: Sendable {
    /// The module's name; empty for the root.
    public var module: String
    /// The object that `_metadata` records for the module.
    public var value: OpaqueObject
    /// The version of the module's class that is recorded; nil if there is none.
    public var version: Int?

    /// An entry for `module`.
    public init(module: String, value: OpaqueObject, version: Int? = nil) {
      self.module = module
      self.value = value
      self.version = version
    }
  }

  var entries: OrderedDictionary<ExactText, Value> = [:]
  /// PyTorch's `_metadata`, in its order; nil if there is none.
  public var metadata: [ModuleMetadata]?

  /// An empty state dict.
  public init() {}

  /// The number of keys.
  public var count: Int { entries.count }
  /// Whether there are no keys.
  public var isEmpty: Bool { entries.isEmpty }
  /// The keys in order.
  public var keys: [String] { entries.keys.map(\.text) }
  /// The values, in the order of their keys.
  public var values: [Value] { Array(entries.values) }
  /// The entries whose values are tensors, in order.
  public var tensors: [(key: String, tensor: Tensor)] {
    entries.compactMap { key, value in value.tensor.map { (key.text, $0) } }
  }

  /// The tensor of a key; nil if there is none. Setting nil removes the key; a new key comes last.
  public subscript(key: String) -> Tensor? {
    get { entries[ExactText(key)]?.tensor }
    set { entries[ExactText(key)] = newValue.map(Value.tensor) }
  }

  /// The value of a key; nil if the state dict lacks it.
  public func value(for key: String) -> Value? { entries[ExactText(key)] }

  /// Sets the value of a key; a new key is appended.
  public mutating func setValue(_ value: Value, for key: String) { entries[ExactText(key)] = value }

  /// The groups of keys that are tied: their tensors are the same view of one storage.
  public var ties: [[String]] {
    sharedStorages.flatMap { keys in
      var groups: OrderedDictionary<TensorView, [String]> = [:]
      for key in keys {
        if let view = self[key]?.view, !view.isEmpty { groups[view, default: []].append(key) }
      }
      return groups.values.filter { $0.count > 1 }
    }
  }

  /// The groups of keys that are tied here and are no longer in `other`, which has them, too.
  public func tiesBroken(in other: StateDict) -> [[String]] {
    ties.filter { keys in Set(keys.compactMap { other[$0]?.view }).count > 1 }
  }

  /// The groups of keys whose tensors share a storage: tied ones, and others that look at parts of
  /// it or at it in another way.
  public var sharedStorages: [[String]] {
    var (seen, shared) = (Set<ObjectIdentifier>(), Set<ObjectIdentifier>())
    func eachTensor(_ body: (String, ObjectIdentifier) -> Void) {
      for (key, value) in entries {
        guard let tensor = value.tensor, !tensor.isMeta, tensor.storage.byteCount > 0 else {
          continue
        }
        body(key.text, ObjectIdentifier(tensor.storage))
      }
    }
    eachTensor { if !seen.insert($1).inserted { shared.insert($1) } }
    guard !shared.isEmpty else { return [] }
    var groups: OrderedDictionary<ObjectIdentifier, [String]> = [:]
    eachTensor { if shared.contains($1) { groups[$1, default: []].append($0) } }
    return Array(groups.values)
  }

  /// The sum of the storages' sizes in bytes, each counted once.
  public var totalByteCount: Int {
    var seen = Set<ObjectIdentifier>()
    var sum = 0
    for value in entries.values {
      for tensor in value.tensors
      where !tensor.isMeta && seen.insert(ObjectIdentifier(tensor.storage)).inserted {
        sum = sum.addingReportingOverflow(tensor.storage.byteCount).partialValue
      }
    }
    return sum
  }

  /// The number of elements of all tensors that stand for a key.
  public var totalElementCount: Int {
    entries.values.reduce(0) {
      $0.addingReportingOverflow($1.tensor?.elementCount ?? 0).partialValue
    }
  }
}

extension ExactText {
  /// The names of the modules that the key lies in, from the root (empty) inwards.
  var modules: [String] {
    [""] + text.indices.filter { text.utf8[$0] == UInt8(ascii: ".") }.map { String(text[..<$0]) }
  }
}
