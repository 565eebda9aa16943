extension FixedWidthInteger {
  /// Converts a floating-point number to an integer, truncating fractions. Numbers out of range
  /// become the nearest bound, and NaN becomes 0. Where the value must be exact, use
  /// `init(exactly:)`.
  package init(saturating value: some BinaryFloatingPoint) {
    guard !value.isNaN else {
      self = 0
      return
    }
    let whole = value.rounded(.towardZero)
    self = Self(exactly: whole) ?? (whole < 0 ? .min : .max)
  }
}

// The compiler prefers the following overloads to the standard library's conversions of the same
// form, which trap for NaN, infinite numbers, and numbers out of range. Their use therefore causes
// a warning.

extension Int {
  /// Deprecated, to warn about a conversion that can trap.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Double) { self.init(saturating: value) }

  /// Deprecated, to warn about a conversion that can trap.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Float) { self.init(saturating: value) }
}

extension Int64 {
  /// Deprecated, to warn about a conversion that can trap.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Double) { self.init(saturating: value) }

  /// Deprecated, to warn about a conversion that can trap.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Float) { self.init(saturating: value) }
}

extension UInt64 {
  /// Deprecated, to warn about a conversion that can trap.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Double) { self.init(saturating: value) }

  /// Deprecated, to warn about a conversion that can trap.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Float) { self.init(saturating: value) }
}
