/// min(max(x, 0), 6).
enum ReLU6Function: UnaryFunction {
  static var name: StaticString { "relu6" }
  static var slopeFromValue: Bool { true }
  // A NaN stays one, as in PyTorch.
  static func value<T: Scalar>(_ x: T) -> T { x < 0 ? 0 : (x > 6 ? 6 : x) }
  static func slope<T: Scalar>(_ y: T) -> T { y > 0 && y < 6 ? 1 : 0 }
}

extension Variable {
  /// min(max(x, 0), 6).
  public func relu6() throws -> Variable { try apply(ReLU6Function.self) }
}

/// min(max(x, 0), 6): `nn.ReLU6`.
public final class ReLU6: Module {
  override public func forward(_ input: Variable) throws -> Variable { try input.relu6() }
}
