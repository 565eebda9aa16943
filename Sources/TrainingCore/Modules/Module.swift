public import CkptPatterns
internal import CkptStateDicts

/// A model or a part of one, with parameters, buffers and modules in it: PyTorch's `nn.Module`.
///
/// Stored properties that are parameters, buffers, modules or arrays of modules are registered by
/// themselves, in the order of their declaration. Their keys are the properties' names in snake
/// case (`numBatchesTracked` has the key `num_batches_tracked`), unless ``keyNames`` has another
/// name.
///
/// ```swift
/// final class Perceptron: Module {
///   let hidden: Linear
///   let head: Linear
///
///   init(classes: Int) throws {
///     hidden = try Linear(784, 256)
///     head = try Linear(256, classes)
///   }
///
///   override func forward(_ input: Variable) throws -> Variable {
///     try head(hidden(input).relu())
///   }
/// }
/// ```
open class Module {
  /// Whether the module is in training mode, which matters for dropout and batch normalization.
  /// ``train(_:)`` sets it for the modules inside as well.
  public internal(set) var isTraining = true

  /// What is computed when the module is called, in place of ``forward(_:)``; nil for that alone.
  ///
  /// It serves to see what a module inside a model is called with: it is given the input and
  /// returns the output, which it may have computed by ``forward(_:)``. Layers that are computed
  /// together with others, as a convolution with the batch norm behind it, are not called one by
  /// one.
  package final var interceptor: ((_ input: Variable) throws -> Variable)?

  /// A module without parts of its own.
  public init() {}

  /// Computes the module's output; a subclass overrides it. To be called as a function:
  /// `module(input)`.
  ///
  /// - Throws: `TrainingError` if the input does not fit; `TrainingError.notCallable` unless a
  ///   subclass overrides it.
  open func forward(_ input: Variable) throws -> Variable {
    throw TrainingError.notCallable(module: "\(type(of: self))")
  }

  /// Computes the module's output for one input.
  ///
  /// - Throws: what ``forward(_:)`` throws.
  public final func callAsFunction(_ input: Variable) throws -> Variable {
    guard let interceptor else { return try forward(input) }
    return try interceptor(input)
  }

  /// Keys of properties, by the properties' names, where they are not those names in snake case.
  open class var keyNames: [String: String] { [:] }

  /// A part of a module.
  public enum Member {
    /// A parameter.
    case parameter(Parameter)
    /// A buffer.
    case buffer(Buffer)
    /// A module.
    case module(Module)
  }

  /// The module's parts with their keys. A container whose parts are not its properties overrides
  /// this.
  open var members: [(key: String, member: Member)] {
    var levels: [Mirror] = []
    var next: Mirror? = Mirror(reflecting: self)
    while let mirror = next {
      levels.append(mirror)
      next = mirror.superclassMirror
    }
    let names = type(of: self).keyNames
    var result: [(String, Member)] = []
    for child in levels.reversed().flatMap(\.children) {
      guard let label = child.label else { continue }
      let key = names[label] ?? Self.snakeCase(label)
      if let parameter = child.value as? Parameter {
        result.append((key, .parameter(parameter)))
      } else if let buffer = child.value as? Buffer {
        result.append((key, .buffer(buffer)))
      } else if let module = child.value as? Module {
        result.append((key, .module(module)))
      } else if let modules = child.value as? [Module], !modules.isEmpty {
        result.append((key, .module(ModuleList(modules))))
      }
    }
    return result
  }

  static func snakeCase(_ name: String) -> String {
    var result = ""
    for character in name {
      if character.isUppercase {
        if !result.isEmpty { result += "_" }
        result += character.lowercased()
      } else {
        result.append(character)
      }
    }
    return result
  }
}

// MARK: - Parts

extension Module {
  /// This module (with the key "") and all modules inside, each once, with their keys:
  /// `named_modules()`.
  public var namedModules: [(key: String, module: Module)] {
    var result: [(String, Module)] = []
    var seen = Set<ObjectIdentifier>()
    walk { key, module, _ in
      if seen.insert(ObjectIdentifier(module)).inserted { result.append((key, module)) }
    }
    return result
  }

  /// Calls `body` with this module and all modules inside, parents first, and their members; a
  /// module with two keys is visited twice. The walk is not recursive.
  private func walk(_ body: (String, Module, [(key: String, member: Member)]) -> Void) {
    var open: [(String, Module)] = [("", self)]
    while let (prefix, module) = open.popLast() {
      let members = module.members
      body(prefix, module, members)
      for (key, member) in members.reversed() {
        if case .module(let child) = member {
          open.append((prefix.isEmpty ? key : prefix + "." + key, child))
        }
      }
    }
  }

  /// The parameters with their keys, each once, in PyTorch's order: `named_parameters()`.
  public var namedParameters: [(key: String, parameter: Parameter)] {
    var result: [(String, Parameter)] = []
    var seen = Set<ObjectIdentifier>()
    walk { prefix, _, members in
      for case (let key, .parameter(let parameter)) in members
      where seen.insert(ObjectIdentifier(parameter)).inserted {
        result.append((prefix.isEmpty ? key : prefix + "." + key, parameter))
      }
    }
    return result
  }

  /// The parameters, each once, in PyTorch's order: `parameters()`.
  public var parameters: [Parameter] { namedParameters.map(\.parameter) }

  /// The buffers with their keys, each once, in PyTorch's order: `named_buffers()`.
  public var namedBuffers: [(key: String, buffer: Buffer)] {
    var result: [(String, Buffer)] = []
    var seen = Set<ObjectIdentifier>()
    walk { prefix, _, members in
      for case (let key, .buffer(let buffer)) in members
      where seen.insert(ObjectIdentifier(buffer)).inserted {
        result.append((prefix.isEmpty ? key : prefix + "." + key, buffer))
      }
    }
    return result
  }

  /// The parameters with `requiresGrad`, with their keys.
  public var trainableParameters: [(key: String, parameter: Parameter)] {
    namedParameters.filter { $0.parameter.requiresGrad }
  }

  /// The module with a key such as `layer1.0.conv1`; nil if there is none: `get_submodule`.
  public func module(at key: String) -> Module? {
    var module = self
    var rest = key[...]
    // A member's key may contain dots itself, so the longest one that fits is taken at each step.
    while !rest.isEmpty {
      var best: (length: Int, module: Module)?
      for case (let name, .module(let child)) in module.members
      where rest == name || rest.hasPrefix(name + ".") {
        if name.count > best?.length ?? -1 { best = (name.count, child) }
      }
      guard let best else { return nil }
      module = best.module
      rest = rest.dropFirst(best.length + 1)
    }
    return module
  }

  /// The parameters whose keys match a pattern, such as `under:fc` or `in:backbone`.
  ///
  /// - Throws: `TrainingError.noSuchParameter` if there is none.
  public func parameters(matching pattern: KeyPattern) throws -> [Parameter] {
    let found = namedParameters.filter { pattern.matches($0.key) }.map(\.parameter)
    guard !found.isEmpty else { throw TrainingError.noSuchParameter(pattern: pattern.written) }
    return found
  }

  /// The parameters whose keys do not match a pattern.
  ///
  /// - Throws: `TrainingError.noSuchParameter` if no parameter matches it.
  public func parameters(notMatching pattern: KeyPattern) throws -> [Parameter] {
    let matched = Set(try parameters(matching: pattern).map(ObjectIdentifier.init))
    return parameters.filter { !matched.contains(ObjectIdentifier($0)) }
  }
}

// MARK: - Changing

extension Module {
  /// Sets training mode, or evaluation mode, of this module and all inside: `train()`.
  @discardableResult
  public func train(_ isTraining: Bool = true) -> Self {
    for (_, module) in namedModules { module.isTraining = isTraining }
    return self
  }

  /// Sets evaluation mode of this module and all inside: `eval()`.
  @discardableResult
  public func eval() -> Self { train(false) }

  /// Sets `requiresGrad` of parameters to false: no gradients are computed for them, nor for
  /// operations that lead only to them.
  ///
  /// - Parameters:
  ///   - pattern: the keys of the parameters; all unless given.
  ///   - exception: keys of parameters that are left as they are.
  /// - Returns: the number of parameters that are trainable afterwards.
  /// - Throws: `TrainingError.noSuchParameter` if a pattern matches none.
  @discardableResult
  public func freeze(_ pattern: KeyPattern? = nil, except exception: KeyPattern? = nil) throws
    -> Int
  {
    try setRequiresGrad(false, pattern, exception)
  }

  /// Sets `requiresGrad` of parameters to true.
  ///
  /// - Parameters:
  ///   - pattern: the keys of the parameters; all unless given.
  ///   - exception: keys of parameters that are left as they are.
  /// - Returns: the number of parameters that are trainable afterwards.
  /// - Throws: `TrainingError.noSuchParameter` if a pattern matches none.
  @discardableResult
  public func unfreeze(_ pattern: KeyPattern? = nil, except exception: KeyPattern? = nil) throws
    -> Int
  {
    try setRequiresGrad(true, pattern, exception)
  }

  private func setRequiresGrad(
    _ wanted: Bool, _ pattern: KeyPattern?, _ exception: KeyPattern?
  ) throws -> Int {
    let named = namedParameters
    for given in [pattern, exception].compactMap(\.self) {
      guard named.contains(where: { given.matches($0.key) }) else {
        throw TrainingError.noSuchParameter(pattern: given.written)
      }
    }
    for (key, parameter) in named
    where pattern?.matches(key) != false && exception?.matches(key) != true {
      parameter.requiresGrad = wanted
      if !wanted { parameter.grad = nil }
    }
    return named.count { $0.parameter.requiresGrad }
  }

  /// Draws all parameters inside again, as when the module was made, and resets running statistics:
  /// `reset_parameters` of each layer.
  ///
  /// `try model.module(at: "fc")?.resetParameters()` makes a new head.
  /// - Throws: `TrainingError.outOfMemory`.
  public func resetParameters(from random: RandomSource = .shared) throws {
    for parameter in parameters { parameter.reset(from: random) }
    for (_, buffer) in namedBuffers { buffer.reset() }
    for case let embedding as Embedding in namedModules.map(\.module) {
      try embedding.clearPadding()
    }
  }

  /// Sets the gradients of all parameters to nil: `zero_grad()`.
  public func zeroGrad() {
    for parameter in parameters { parameter.grad = nil }
  }

  /// Converts parameters and floating-point buffers in place, for example to float64 for gradient
  /// checks: `to(dtype)`.
  ///
  /// - Throws: `TrainingError.badType` unless `type` is a floating-point type;
  ///   `TrainingError.outOfMemory`.
  @discardableResult
  public func convert(to type: ScalarType) throws -> Self {
    guard type.isFloatingPoint else {
      throw TrainingError.badType(
        operation: "convert", problem: "parameters cannot be \(type.rawValue)")
    }
    for variable in parameters as [Variable] + namedBuffers.map(\.buffer)
    where variable.scalarType.isFloatingPoint && variable.scalarType != type {
      let converted = try variable.detached().converted(to: type).contiguous()
      variable.memory = converted.memory
      variable.scalarType = type
      variable.grad = nil
    }
    return self
  }
}
