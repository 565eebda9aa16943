/// Modules that are applied one after another, under the keys 0, 1, 2, … or keys of their own:
/// PyTorch's `nn.Sequential`.
public final class Sequential: Module {
  /// The modules with their keys, in order.
  public let modules: [(key: String, module: Module)]

  /// Modules under the keys 0, 1, 2, ….
  public init(_ modules: [Module]) {
    self.modules = modules.enumerated().map { ("\($0)", $1) }
  }

  /// Modules under the keys 0, 1, 2, ….
  public convenience init(_ modules: Module...) { self.init(modules) }

  /// Modules under keys of their own, each a part of a state dict's keys.
  public init(named modules: [(key: String, module: Module)]) { self.modules = modules }

  /// The modules.
  override public var members: [(key: String, member: Member)] {
    modules.map { ($0.key, .module($0.module)) }
  }

  /// The module at an index; the index must be valid.
  public subscript(index: Int) -> Module { modules[index].module }

  /// The last module's output.
  ///
  /// - Parameter input: what the first module takes.
  /// - Throws: what the modules throw.
  override public func forward(_ input: Variable) throws -> Variable {
    var value = input
    var index = 0
    while index < modules.count {
      // A batch norm after a convolution and a rectifier after a batch norm are computed together
      // with it.
      func next<M: Module>(_ distance: Int, _: M.Type) -> M? {
        index + distance < modules.count ? modules[index + distance].module as? M : nil
      }
      if let convolution = next(0, Conv2d.self), let norm = next(1, BatchNorm2d.self) {
        let relu = next(2, ReLU.self) != nil
        value = try convolution.normalized(value, by: norm, relu: relu)
        index += relu ? 3 : 2
      } else if let norm = next(0, BatchNorm.self), next(1, ReLU.self) != nil {
        value = try norm.normalized(value, relu: true)
        index += 2
      } else {
        value = try modules[index].module(value)
        index += 1
      }
    }
    return value
  }
}

/// Modules under the keys 0, 1, 2, …: PyTorch's `nn.ModuleList`. It has no forward pass of its own.
public final class ModuleList: Module {
  /// The modules, in order.
  public let modules: [Module]

  /// Modules under the keys 0, 1, 2, ….
  public init(_ modules: [Module]) { self.modules = modules }

  /// The modules.
  override public var members: [(key: String, member: Member)] {
    modules.enumerated().map { ("\($0)", .module($1)) }
  }

  /// The module at an index; the index must be valid.
  public subscript(index: Int) -> Module { modules[index] }
}

/// Modules, parameters and buffers under keys of their own, in order: PyTorch's `nn.ModuleDict` and
/// `nn.ParameterDict` in one. For models whose parts are not properties.
open class ModuleDict: Module {
  /// The parts with their keys.
  public let parts: [(key: String, member: Member)]

  /// Parts under keys of their own.
  public init(_ parts: [(key: String, member: Member)]) { self.parts = parts }

  /// The parts.
  override open var members: [(key: String, member: Member)] { parts }

  /// The module under a key; nil if there is none.
  public subscript(key: String) -> Module? {
    for case (key, .module(let module)) in parts { return module }
    return nil
  }
}
