internal import CkptIO

/// The risk of a class or function that a pickle names.
public enum GlobalRating: String, Sendable, Comparable, CaseIterable {
  /// It only creates data.
  case safe
  /// It is unknown; loading the file with pickle runs its code.
  case unknown
  /// It runs code or commands, accesses the network, or gives access to something that does.
  case dangerous

  /// `safe` is less than `unknown`, which is less than `dangerous`.
  public static func < (left: GlobalRating, right: GlobalRating) -> Bool {
    rank(left) < rank(right)
  }

  private static func rank(_ rating: GlobalRating) -> Int {
    switch rating {
    case .safe: 0
    case .unknown: 1
    case .dangerous: 2
    }
  }

  /// Rates a name as a pickle gives it.
  ///
  /// - Parameters:
  ///   - name: the name, which may have dots from protocol 4 on: `attribute.of.attribute`, each
  ///     looked up in the previous one, so that a harmless module can give access to anything it
  ///     imports.
  ///   - isTorchScript: whether the pickle is in a TorchScript archive, which is read by C++ code
  ///     without Python.
  static func of(module: String, name: String, isTorchScript: Bool = false) -> GlobalRating {
    let module = module == "__builtin__" ? "builtins" : module
    let full = module + "." + name
    if AllowedNames.contains(full) || DataNames.contains(full) { return .safe }
    if ActingNames.exceptions.contains(full) { return .unknown }
    if ActingNames.contains(module, name) { return .dangerous }
    if name.contains(".") { return .unknown }
    if DataNames.contains(name, in: module) { return .safe }
    if isTorchScript, module.hasPrefix("__torch__") || module == "torch.jit._pickle" {
      return .safe
    }
    return .unknown
  }

  /// Rates an attribute of an instance, such as a bound method; its class is rated on its own.
  static func ofMethod(_ name: String) -> GlobalRating {
    ActingNames.containsMethod(name) ? .dangerous : .unknown
  }
}
