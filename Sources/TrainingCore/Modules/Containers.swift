/// Modules one behind the other, under the keys 0, 1, 2, … or those given: `nn.Sequential`.
public final class Sequential: Module {
  /// The modules with their keys.
  public let modules: [(key: String, module: Module)]

  /// Modules under the keys 0, 1, 2, ….
  public init(_ modules: [Module]) {
    self.modules = modules.enumerated().map { ("\($0)", $1) }
  }

  /// Modules under the keys 0, 1, 2, ….
  public convenience init(_ modules: Module...) { self.init(modules) }

  /// Modules under keys of their own.
  public init(named modules: [(key: String, module: Module)]) { self.modules = modules }

  override public var members: [(key: String, member: Member)] {
    modules.map { ($0.key, .module($0.module)) }
  }

  /// The module of a number.
  public subscript(index: Int) -> Module { modules[index].module }

  override public func forward(_ input: Variable) throws -> Variable {
    var value = input
    var index = 0
    while index < modules.count {
      // What stands behind a convolution or a batch norm and can be done with it, is.
      func next<M: Module>(_ distance: Int, _: M.Type) -> M? {
        index + distance < modules.count ? modules[index + distance].module as? M : nil
      }
      if let convolution = next(0, Conv2d.self), let norm = next(1, BatchNorm2d.self) {
        let rectifies = next(2, ReLU.self) != nil
        value = try convolution.normalized(value, by: norm, rectifies: rectifies)
        index += rectifies ? 3 : 2
      } else if let norm = next(0, BatchNorm.self), next(1, ReLU.self) != nil {
        value = try norm.rectified(value)
        index += 2
      } else {
        value = try modules[index].module(value)
        index += 1
      }
    }
    return value
  }
}

/// Modules under the keys 0, 1, 2, …: `nn.ModuleList`.
public final class ModuleList: Module {
  /// The modules.
  public let modules: [Module]

  /// Modules under the keys 0, 1, 2, ….
  public init(_ modules: [Module]) { self.modules = modules }

  override public var members: [(key: String, member: Member)] {
    modules.enumerated().map { ("\($0)", .module($1)) }
  }

  /// The module of a number.
  public subscript(index: Int) -> Module { modules[index] }
}

/// Modules and parameters under keys of their own, in order: for models that are described by data.
open class ModuleDict: Module {
  /// What it consists of.
  public let parts: [(key: String, member: Member)]

  /// Parts under keys of their own.
  public init(_ parts: [(key: String, member: Member)]) { self.parts = parts }

  override open var members: [(key: String, member: Member)] { parts }

  /// The module of a key.
  public subscript(key: String) -> Module? {
    for case (key, .module(let module)) in parts { return module }
    return nil
  }
}

/// Gives its input back: `nn.Identity`.
public final class Identity: Module {
  override public func forward(_ input: Variable) throws -> Variable { input }
}

/// `x + f(x)`, with another module on the first where shapes differ.
public final class Residual: Module {
  /// What is added.
  public let body: Module
  /// What is done to the input before; nil for nothing.
  public let shortcut: Module?

  /// `shortcut(x) + body(x)`.
  public init(_ body: Module, shortcut: Module? = nil) {
    self.body = body
    self.shortcut = shortcut
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try body(input) + (shortcut?(input) ?? input)
  }
}
