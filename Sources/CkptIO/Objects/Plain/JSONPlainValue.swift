package import CkptText
internal import CkptBytes
internal import CkptPlatform
package import CkptStateDicts

extension PlainValue {
  /// Creates the value that Python's `json` reads: numbers without a point or exponent are ints.
  ///
  /// The nesting depth is limited by ``JSONValue``.
  package init(_ value: JSONValue) {
    switch value {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .number(let digits):
      if let int = Int(digits) {
        self = .int(int)
      } else {
        let names = ["NaN": Double.nan, "Infinity": .infinity, "-Infinity": -.infinity]
        self = .float(names[digits] ?? Double(digits) ?? .nan)
      }
    case .string(let text): self = .string(text)
    case .array(let items): self = .list(items.map { PlainValue($0) })
    case .object(let members):
      self = .dict(members.map { (.string($0.name), PlainValue($0.value)) })
    }
  }
}
