/// A table of vectors that are looked up by index: PyTorch's `nn.Embedding`.
public final class Embedding: Module {
  /// The table, of shape [embeddings, dimension].
  public let weight: Parameter
  /// The row that begins as zeros and gets no gradient, `padding_idx` in PyTorch; nil for none.
  public let paddingIndex: Int?

  /// A table with PyTorch's initialization: the standard normal distribution.
  ///
  /// - Parameters:
  ///   - numEmbeddings: the number of rows.
  ///   - embeddingDim: the length of each row.
  ///   - paddingIndex: a row that begins as zeros and gets no gradient.
  ///   - random: the source of the initial values.
  /// - Throws: `TrainingError.badArgument` if `paddingIndex` is no row; `TrainingError.badShape`
  ///   for sizes that no tensor has; `TrainingError.outOfMemory`.
  public init(
    _ numEmbeddings: Int, _ embeddingDim: Int, paddingIndex: Int? = nil,
    from random: RandomSource = .shared
  ) throws {
    if let paddingIndex, !(0..<max(numEmbeddings, 0)).contains(paddingIndex) {
      throw TrainingError.badArgument(
        operation: "embedding", problem: "padding index \(paddingIndex) of \(numEmbeddings) rows")
    }
    let shape = [numEmbeddings, embeddingDim]
    // Invalid shapes are rejected before a row's offset is computed.
    _ = try Variable.byteCount(shape, .float32)
    let start = (paddingIndex ?? 0) * embeddingDim
    weight = try Parameter(
      shape, .normal(mean: 0, standardDeviation: 1),
      zeroing: start..<start + (paddingIndex == nil ? 0 : embeddingDim), from: random)
    self.paddingIndex = paddingIndex
  }

  /// Sets the padding row to zero.
  func clearPadding() throws {
    guard let paddingIndex else { return }
    let row = try weight.detached().selected(paddingIndex)
    try row.assign(Variable.zeros(row.shape, row.scalarType))
  }

  /// The rows that `input` names.
  ///
  /// - Parameter input: indices of any shape, of type int64.
  /// - Returns: a variable of the shape of `input` with a last dimension of the rows' length.
  /// - Throws: `TrainingError` if `input` has another type or an index that is no row.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.embedding(weight, paddingIndex: paddingIndex)
  }
}
