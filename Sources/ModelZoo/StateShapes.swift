public import CkptStateDicts
internal import CkptTensors
internal import CkptText

/// The shapes of a state dict's tensors, from which a model's hyperparameters are inferred.
public struct StateShapes: Sendable {
  private var shapes: ExactDictionary<[Int]> = [:]
  private var views: ExactDictionary<TensorView> = [:]
  /// The keys, in order.
  public private(set) var keys: [String] = []
  /// The numbers that follow each prefix in keys, such as the layers' numbers.
  private var numbers: ExactDictionary<Set<Int>> = [:]

  /// Creates an empty collection.
  init() {}

  /// Collects the shapes of the tensors whose keys begin with `prefix`, which is removed from the
  /// keys.
  ///
  /// - Throws: `ZooError.tooLarge` if tensors have far more elements than their storages have
  ///   bytes, so that a model would need far more memory than the file.
  public init(_ stateDict: StateDict, behind prefix: String = "") throws {
    var elements = 0
    for (key, tensor) in stateDict.tensors where key.hasPrefix(prefix) && !tensor.isMeta {
      let key = String(key.dropFirst(prefix.count))
      shapes[key] = tensor.shape
      keys.append(key)
      views[key] = tensor.view
      let (sum, overflow) = elements.addingReportingOverflow(tensor.elementCount)
      elements = overflow ? .max : sum
      note(numbersIn: key)
    }
    let bytes = stateDict.totalByteCount
    // An element has at least one byte, and weights may be tied a few times.
    guard elements / 4 - (1 << 20) <= bytes else {
      throw ZooError.tooLarge(elements: elements, bytes: bytes)
    }
  }

  private mutating func note(numbersIn key: String) {
    var start = key.startIndex
    while let dot = key[start...].firstIndex(of: ".") {
      if let number = Int(key[start..<dot]), number >= 0 {
        numbers[String(key[..<start]), default: []].insert(number)
      }
      start = key.index(after: dot)
    }
  }

  /// The shape of the tensor with a key; nil if there is none.
  public subscript(key: String) -> [Int]? { shapes[key] }

  /// The number of modules with consecutive numbers from 0 after a prefix such as `encoder.layer.`
  /// in keys.
  public func count(behind prefix: String) -> Int {
    guard let found = numbers[prefix] else { return 0 }
    var count = 0
    while found.contains(count) { count += 1 }
    return count
  }

  /// Whether two keys' tensors are the same view of one storage.
  public func areTied(_ first: String, _ second: String) -> Bool {
    guard let one = views[first], let other = views[second] else { return false }
    return one == other
  }

  /// The shape of a required tensor.
  ///
  /// - Parameters:
  ///   - key: the tensor's key.
  ///   - rank: the required number of dimensions.
  ///   - model: the model's name, for the error.
  /// - Throws: `ZooError.cannotInfer` if there is no such tensor, it has another number of
  ///   dimensions, or a dimension is empty.
  public func sizes(_ key: String, rank: Int, for model: String) throws -> [Int] {
    guard let shape = shapes[key] else {
      throw ZooError.cannotInfer(model: model, key: key, problem: "there is no such tensor")
    }
    guard shape.count == rank, shape.allSatisfy({ (1...(1 << 28)).contains($0) }) else {
      throw ZooError.cannotInfer(
        model: model, key: key,
        problem: "the shape \(shape) is not \(rank) sizes of which none is 0")
    }
    return shape
  }
}
