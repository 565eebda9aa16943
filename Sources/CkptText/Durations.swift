internal import CkptBytes
internal import Foundation

extension Text {
  /// A duration in seconds as text: `4.2 s`, `3 min 20 s`, `2 h 05 min`.
  package static func duration(seconds: Double) -> String {
    guard seconds.isFinite, seconds >= 0 else { return "–" }
    if seconds < 59.95 { return String(format: "%.1f s", seconds) }
    let whole = Int(saturating: seconds.rounded())
    let (minutes, hours) = (whole / 60, whole / 3600)
    if hours == 0 { return "\(minutes) min \(String(format: "%02d", whole % 60)) s" }
    return "\(hours) h \(String(format: "%02d", minutes % 60)) min"
  }
}
