internal import CkptText
internal import ImageData

/// The section of a report with the images of the worst mistakes.
struct MistakeSection {
  /// The maximum number of images.
  private static let most = 24

  private let evaluation: Evaluation
  private let decoder: ImageDecoder

  init(_ evaluation: Evaluation, decoder: ImageDecoder) {
    self.evaluation = evaluation
    self.decoder = decoder
  }

  /// Writes the HTML of the section, image by image.
  ///
  /// - Throws: what `write` throws.
  func write(to write: (String) throws -> Void) rethrows {
    guard evaluation.imageCount > 0 else { return }
    let mistakes = evaluation.mistakes
    try write("<h2>Worst mistakes</h2>\n")
    guard !mistakes.isEmpty else {
      return try write("<p>All images are told right.</p>\n")
    }
    let shown = min(mistakes.count, Self.most)
    try write(
      "<p class=\"soft\">\(HTMLText.count(shown)) of \(HTMLText.count(mistakes.count)), those "
        + "of the largest loss first.</p>\n<div class=\"mistakes\">\n")
    for mistake in mistakes.prefix(shown) { try write(figure(mistake)) }
    try write("</div>\n")
  }

  private func figure(_ mistake: Evaluation.Prediction) -> String {
    let name = String(mistake.path.split(separator: "/").last ?? "")
    let file = HTMLText.escaped(name)
    let truth = HTMLText.escaped(evaluation.name(of: mistake.label))
    let said = HTMLText.escaped(evaluation.name(of: mistake.predicted))
    return "<figure>\(picture(mistake.path, label: file))"
      + "<figcaption>is <b>\(truth)</b><br/>taken for <b>\(said)</b>, "
      + "\(HTMLText.percent(mistake.probability))"
      + "<br/><span class=\"soft\" title=\"\(HTMLText.escaped(mistake.path))\">\(file)</span>"
      + "</figcaption></figure>\n"
  }

  private func picture(_ path: String, label: String) -> String {
    guard let thumbnail = Thumbnail(of: path, decoder: decoder) else {
      return
        "<div class=\"picture gone\" role=\"img\" aria-label=\"\(label), which cannot be read\">"
        + "\(label)</div>"
    }
    return "<div class=\"picture\(thumbnail.isSmall ? " small" : "")\">"
      + "<img alt=\"\(label)\" width=\"\(thumbnail.width)\" height=\"\(thumbnail.height)\" "
      + "src=\"\(thumbnail.url)\"/></div>"
  }
}
