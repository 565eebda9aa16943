internal import CkptStateDicts
internal import CkptText
internal import Yams

extension PlainValue {
  /// The scalars, lists and maps of a YAML document. Scalars without quotes are null, booleans, integers and numbers
  /// where they look like them, else text.
  ///
  /// - Throws: `BoundedYAML.Failure` for what is no YAML or out of bounds.
  init(yaml text: String) throws {
    guard let root = try BoundedYAML.root(of: text, .document) else {
      self = .none
      return
    }
    self.init(root)
  }

  /// The value of a node; it calls itself for each level, which `BoundedYAML` bounds.
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
