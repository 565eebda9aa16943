internal import Foundation

/// A shared library that is loaded on demand, so that programs that do not need it start faster.
package struct DynamicLibrary: Sendable {
  private nonisolated(unsafe) let handle: UnsafeMutableRawPointer

  /// Loads the first of the named libraries that the system's loader finds; nil if it finds none.
  package init?(firstOf names: [String]) {
    for name in names {
      if let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) {
        self.handle = handle
        return
      }
    }
    return nil
  }

  /// The C function with the given name; nil if the library has none.
  ///
  /// The caller must supply the right signature. The library is never unloaded, so the function
  /// stays valid.
  package func function<Signature>(_ name: String, as _: Signature.Type) -> Signature? {
    guard MemoryLayout<Signature>.size == MemoryLayout<UnsafeMutableRawPointer>.size else {
      return nil
    }
    return dlsym(handle, name).map { unsafeBitCast($0, to: Signature.self) }
  }

  /// The file names of the libraries with the functions of `cblas.h`: OpenBLAS, or Accelerate on
  /// macOS.
  package static var blasNames: [String] {
    #if canImport(Darwin)
      ["/System/Library/Frameworks/Accelerate.framework/Accelerate"]
    #else
      ["libopenblas.so.0", "libopenblas.so", "libblas.so.3"]
    #endif
  }
}
