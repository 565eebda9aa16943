internal import ArgumentParser

/// A share that is written as `95%` or `0.95`, as a number from 0 to 1.
///
/// - Throws: `ValidationError` for anything else.
func shareValue(_ written: String, of option: String) throws -> Double {
  let isPercent = written.hasSuffix("%")
  guard let number = Double(isPercent ? String(written.dropLast()) : written),
    (0...(isPercent ? 100 : 1)).contains(number)
  else { throw ValidationError("\(option) takes a share, as in 95% or 0.95") }
  return isPercent ? number / 100 : number
}
