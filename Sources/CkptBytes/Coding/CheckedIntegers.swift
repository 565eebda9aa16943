extension FixedWidthInteger {
  /// The whole part of a number, for one that need not be exact: the nearest bound for what is beyond this
  /// type, 0 for NaN. What must be exact is converted by `init(exactly:)`.
  package init(saturating value: some BinaryFloatingPoint) {
    guard !value.isNaN else {
      self = 0
      return
    }
    let whole = value.rounded(.towardZero)
    self = Self(exactly: whole) ?? (whole < 0 ? .min : .max)
  }
}

// The compiler prefers these to the conversions of the same form in Swift's own library, which end the process
// for NaN, infinities and what is too large: whoever writes one is warned.

extension Int {
  /// Says that the conversion must be another one.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Double) { self.init(saturating: value) }

  /// Says that the conversion must be another one.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Float) { self.init(saturating: value) }
}

extension Int64 {
  /// Says that the conversion must be another one.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Double) { self.init(saturating: value) }

  /// Says that the conversion must be another one.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Float) { self.init(saturating: value) }
}

extension UInt64 {
  /// Says that the conversion must be another one.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Double) { self.init(saturating: value) }

  /// Says that the conversion must be another one.
  @available(*, deprecated, message: "traps; exactly: or saturating: does not")
  package init(_ value: Float) { self.init(saturating: value) }
}
