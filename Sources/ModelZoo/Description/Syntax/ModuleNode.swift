/// The syntax tree of a module in a description.
struct ModuleNode: Sendable {
  indirect enum Content: Sendable {
    /// A layer, a block, a parameter or a buffer with its arguments.
    case call(name: String, [Expression.Argument])
    case members([Member], Forward?)
    case repetition(Repetition)
  }

  /// A named part of a module.
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

  /// A module that is repeated.
  struct Repetition: Sendable {
    let variable: String
    let count: Expression
    /// The components of each key: text, and expressions of the variable.
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

/// A named block with parameters, which can be used any number of times.
struct BlockNode: Sendable {
  let parameters: [(name: String, standard: Expression?)]
  let body: ModuleNode
}
