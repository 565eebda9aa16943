/// A class or function that a pickle names, with the worst that the pickle does with it.
package struct PickleFinding: Sendable, Hashable {
  /// What a pickle does with a name.
  package enum Use: String, Sendable, Comparable {
    /// It is imported, and not used, or stored.
    case named
    /// It is called, instantiated, or bound to arguments for a later call.
    case called
    /// It is itself changed: attributes or items of the class or function are set.
    case changed

    /// `named` is less than `called`, which is less than `changed`.
    package static func < (left: Use, right: Use) -> Bool { left.rank < right.rank }

    private var rank: Int {
      switch self {
      case .named: 0
      case .called: 1
      case .changed: 2
      }
    }
  }

  /// The module that the pickle names; `copyreg` for an extension code.
  package let module: String
  /// The name in the module, with dots for attributes of attributes.
  package let name: String
  /// The worst use.
  package let use: Use
  /// The rating of the name and what is done with it.
  package let rating: GlobalRating
  /// The offset in the source of the opcode that first names it, in bytes.
  package let offset: Int
  /// Why it is rated so, if that is not obvious from the name.
  package let reason: String?
}

/// Something in a pickle that is wrong, or that cannot be followed.
package struct PickleProblem: Sendable, Hashable {
  /// What is wrong.
  package let what: String
  /// The offset in the source, in bytes.
  package let offset: Int
  /// `unknown`, or `dangerous` if two readers of pickles would do different things.
  package let rating: GlobalRating
}
