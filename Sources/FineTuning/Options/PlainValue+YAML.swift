internal import CkptStateDicts
internal import CkptText
internal import Yams

extension PlainValue {
  /// Reads a YAML document of scalars, lists and maps. A scalar without quotes is null, a boolean,
  /// an integer or a number if it has that form, and otherwise text.
  ///
  /// - Throws: `BoundedYAML.Failure` for text that is not YAML or exceeds the limits.
  init(yaml text: String) throws {
    guard let root = try BoundedYAML.root(of: text, .document) else {
      self = .none
      return
    }
    self.init(root)
  }

  /// Converts a node. The recursion is as deep as the document, whose depth `BoundedYAML` limits.
  private init(_ node: Node) {
    switch node {
    case .scalar(let scalar):
      if scalar.style != .plain {
        self = .string(scalar.string)
      } else if let flag = Bool(scalar.string) {
        self = .bool(flag)
      } else if ["null", "~", ""].contains(scalar.string) {
        self = .none
      } else if let number = Int(scalar.string) {
        self = .int(number)
      } else if let number = Double(scalar.string) {
        self = .float(number)
      } else {
        self = .string(scalar.string)
      }
    case .sequence(let items): self = .list(items.map(PlainValue.init))
    case .mapping(let pairs):
      self = .dict(pairs.map { (PlainValue($0.key), PlainValue($0.value)) })
    case .alias: self = .none
    }
  }
}
