/// A module as it is described, before sizes are known.
struct ModuleNode: Sendable {
  indirect enum Content: Sendable {
    /// A layer, a block, a parameter or a buffer with its arguments.
    case call(name: String, [Expression.Argument])
    case members([Member], Forward?)
    case repetition(Repetition)
  }

  /// A named part.
  struct Member: Sendable {
    let key: String
    let line: Int
    let node: ModuleNode
  }

  /// A forward pass.
  struct Forward: Sendable {
    let inputs: [String]
    let steps: [DescribedModule.Step]
    let line: Int
  }

  /// The same module so many times.
  struct Repetition: Sendable {
    let variable: String
    let count: Expression
    /// A key's parts: texts, and expressions of the variable.
    let name: [NamePart]
    let each: ModuleNode
  }

  enum NamePart: Sendable {
    case text(String)
    case value(Expression)
  }

  let content: Content
  let line: Int
}

/// A named module with parameters, used as often as one likes.
struct BlockNode: Sendable {
  let parameters: [(name: String, standard: Expression?)]
  let body: ModuleNode
}
