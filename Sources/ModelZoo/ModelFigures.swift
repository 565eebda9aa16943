package import CkptStateDicts
internal import CkptTensors
package import TrainingCore

/// The results that a model computes from given inputs, for comparison with PyTorch.
package struct ModelFigures {
  /// The outputs in evaluation mode.
  package let outputs: Variable
  /// The loss before each step, in training mode.
  package private(set) var losses: [Double] = []
  /// The Euclidean norm of each parameter's gradient before the first step.
  package private(set) var gradientNorms: [(key: String, norm: Double)] = []
  /// The weights after the steps; shares memory with the model.
  package let after: StateDict

  /// Runs a model on a batch and trains it by gradient descent with momentum, without dropout.
  ///
  /// - Throws: `TrainingError` if inputs or targets do not fit.
  package init(
    _ model: ZooModel, input: Variable, targets: Variable, steps: Int = 3,
    learningRate: Double = 0.01, momentum: Double = 0.9
  ) throws {
    let module = model.module
    outputs = try noGrad { try module.eval()(input) }
    for (_, part) in module.train().namedModules where part is Dropout { part.eval() }
    let optimizer = try SGD(module.parameters, learningRate: learningRate, momentum: momentum)
    for step in 0..<max(steps, 0) {
      optimizer.zeroGrad()
      let loss = try model.loss(module(input), targets)
      try loss.backward()
      losses.append(try loss.item())
      if step == 0 {
        gradientNorms = try module.namedParameters.compactMap { key, parameter in
          guard parameter.grad != nil else { return nil }
          return (key, try [parameter].totalGradNorm())
        }
      }
      try optimizer.step()
    }
    optimizer.zeroGrad()
    after = try module.stateDict()
  }

  /// The results as one state dict: `logits`, `losses`, `norms/KEY`, and `after/KEY`.
  ///
  /// - Throws: `TensorError` if a tensor cannot be described; `TrainingError.outOfMemory`.
  package func stateDict() throws -> StateDict {
    var result = StateDict()
    result["logits"] =
      outputs.scalarType == .float64
      ? try Tensor(outputs.doubles(), shape: outputs.shape)
      : try Tensor(outputs.floats(), shape: outputs.shape)
    result["losses"] = try Tensor(losses, shape: [losses.count])
    for (key, norm) in gradientNorms { result["norms/\(key)"] = try Tensor([norm], shape: []) }
    for (key, tensor) in after.tensors { result["after/\(key)"] = tensor }
    return result
  }
}
