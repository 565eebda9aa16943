public import CkptTensors

/// A tree of Python's plain values and tensors, as checkpoints hold them beside their state dicts.
///
/// An optimizer's `state_dict()` is one.
public indirect enum PlainValue: Sendable {
  /// `None`.
  case none
  /// A bool.
  case bool(Bool)
  /// An int.
  case int(Int)
  /// A float.
  case float(Double)
  /// A str.
  case string(String)
  /// A list.
  case list([PlainValue])
  /// A tuple.
  case tuple([PlainValue])
  /// A dict, in order.
  case dict([(key: PlainValue, value: PlainValue)])
  /// A `collections.Counter`: how often each thing occurs, in order.
  case counter([(key: PlainValue, count: Int)])
  /// A tensor.
  case tensor(Tensor)
  /// Anything else that was read from a checkpoint; it can be written back, not looked into.
  case object(OpaqueObject)

  /// A state dict as a dict of tensors.
  public init(_ stateDict: StateDict) {
    self = .dict(
      stateDict.elements.map { key, value in
        switch value {
        case .tensor(let tensor): (.string(key), .tensor(tensor))
        case .object(let object): (.string(key), .object(object))
        }
      })
  }

  /// The value of a key that is a str; nil if there is none, or this is no dict.
  public subscript(key: String) -> PlainValue? {
    guard case .dict(let entries) = self else { return nil }
    return entries.last { entry in
      if case .string(key) = entry.key { true } else { false }
    }?.value
  }

  /// The value of a key that is an int; nil if there is none, or this is no dict.
  public subscript(key: Int) -> PlainValue? {
    guard case .dict(let entries) = self else { return nil }
    return entries.last { entry in
      if case .int(key) = entry.key { true } else { false }
    }?.value
  }

  /// The items of a list or tuple.
  public var items: [PlainValue]? {
    switch self {
    case .list(let items), .tuple(let items): items
    default: nil
    }
  }

  /// The number of an int or float.
  public var number: Double? {
    switch self {
    case .int(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }

  /// The int.
  public var int: Int? { if case .int(let value) = self { value } else { nil } }
  /// The str.
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The bool.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The tensor.
  public var tensor: Tensor? { if case .tensor(let value) = self { value } else { nil } }

  /// A dict whose keys are strs.
  public static func dict(_ entries: KeyValuePairs<String, PlainValue>) -> PlainValue {
    .dict(entries.map { (.string($0.key), $0.value) })
  }
}
