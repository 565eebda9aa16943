import CkptTestSupport
import FineTuning
import Foundation
import ImageData
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

struct RunReportTests {
  private static let pictures = ["png_rgb.png", "missing.png", "images.json"].map {
    Fixtures.path("images/\($0)")
  }

  private func page(
    title: String = "resnet18", facts: [(name: String, value: String)] = [],
    metrics: [EpochMetrics] = RunFigures.metrics(10), evaluation: Evaluation?,
    arguments: [(name: String, value: String)] = [], bestEpoch: Int? = 7
  ) throws -> Page {
    let report = RunReport(
      title: title, facts: facts, metrics: metrics, bestEpoch: bestEpoch, evaluation: evaluation,
      arguments: arguments)
    var text = ""
    report.writeHTML { text += $0 }
    return try Page(text)
  }

  /// A page whose content was read as XML, which is stricter than HTML.
  private struct Page {
    let text: String
    let content: XMLContent

    init(_ text: String) throws {
      self.text = text
      let body = try #require(text.firstRange(of: "<body>"))
      let end = try #require(text.ranges(of: "<script>").last)
      let markup = "<body>" + text[body.upperBound..<end.lowerBound] + "</body>"
      let parser = XMLParser(data: Data(markup.utf8))
      let content = XMLContent()
      parser.delegate = content
      #expect(parser.parse(), "\(parser.lineNumber): \(parser.parserError.debugDescription)")
      self.content = content
    }

    /// The texts of all elements of this name and class.
    func texts(_ name: String, class kind: String? = nil) -> [String] {
      elements(name, class: kind).map(\.text)
    }

    func elements(_ name: String, class kind: String? = nil) -> [XMLContent.Element] {
      content.elements.filter { element in
        let kinds = element.attributes["class", default: ""].split(separator: " ").map(String.init)
        return element.name == name && kind.map(kinds.contains) ?? true
      }
    }
  }

  /// The elements of a text in XML, in the order of their ends, each with all the text in it.
  private final class XMLContent: NSObject, XMLParserDelegate {
    struct Element {
      let name: String
      let attributes: [String: String]
      var text = ""
    }

    private var open: [Element] = []
    private(set) var elements: [Element] = []

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
      qualifiedName: String?, attributes: [String: String]
    ) {
      open.append(Element(name: name, attributes: attributes))
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) {
      for index in open.indices { open[index].text += text }
    }

    func parser(
      _ parser: XMLParser, didEndElement name: String, namespaceURI: String?,
      qualifiedName: String?
    ) {
      if let last = open.popLast() { elements.append(last) }
    }
  }

  @Test(arguments: [2, 10, 30])
  func `Few classes are a matrix whose cells are the counts`(count: Int) throws {
    let evaluation = RunFigures.evaluation(
      (0..<count).map { "class \($0)" }, count: 400, paths: Self.pictures)
    let page = try page(evaluation: evaluation)
    let cells = page.texts("td", class: "right") + page.texts("td", class: "wrong")
    #expect(cells.compactMap { Int($0) }.reduce(0, +) == 400)
    #expect(page.texts("td", class: "wrong").compactMap { Int($0) }.reduce(0, +) == 80)
    #expect(page.texts("span", class: "name").count == 2 * count)
  }

  @Test func `Many classes are the pairs that are confused most often`() throws {
    let names = (0..<40).map { "class \($0)" }
    var evaluation = RunFigures.evaluation(names, count: 400, paths: Self.pictures)
    evaluation.predictions += (0..<50).map { _ in
      Evaluation.Prediction(path: "a", label: 3, predicted: 39, probability: 0.5, loss: 1)
    }
    let page = try page(evaluation: evaluation)
    #expect(page.elements("table", class: "confusion").isEmpty)
    let headings = page.texts("th")
    #expect(headings.contains("taken for"))
    // Ten images of class 3, and these fifty.
    #expect(page.text.contains("<td>class 3</td><td>class 39</td>"))
    #expect(page.text.contains(">50</td>") && page.text.contains(">83.3\u{202F}%</td>"))
  }

  @Test func `Names that are HTML are shown as text`() throws {
    let names = RunFigures.hostileNames
    let pairs = names.map { (name: $0, value: $0) }
    for count in [names.count, 40] {
      let classes = (0..<count).map { names[$0 % names.count] }
      let page = try page(
        title: names[0], facts: pairs,
        evaluation: RunFigures.evaluation(classes, count: 200, paths: names), arguments: pairs)
      #expect(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"))
      #expect(page.text.components(separatedBy: "<script>").count == 2)
      #expect(page.texts("h1") == [names[0]])
      // Control characters and marks of direction become U+FFFD.
      let shown = names.map { name in
        String(
          String.UnicodeScalarView(
            name.unicodeScalars.map {
              $0.value < 32 || $0 == "\u{202E}" || $0.value & 0xFFFE == 0xFFFE ? "\u{FFFD}" : $0
            }))
      }
      #expect(Array(page.texts("dd").prefix(names.count)) == shown)
      let arguments = try #require(page.elements("table", class: "arguments").first)
      #expect(arguments.text.contains(names[1]))
    }
  }

  @Test func `The worst mistakes are pictures, or boxes where there is none any more`() throws {
    let folder = try TemporaryFolder()
    let hostile = try folder.write(Array("GIF89a".utf8), to: "text.jpg")
    let names = ["jpeg_large.jpg", "jpeg_tall.jpg", "png_one_row.png"]
    let paths = names.map { Fixtures.path("images/" + $0) } + [hostile, folder.file("gone.png")]
    let page = try page(
      evaluation: RunFigures.evaluation(["a", "b"], count: 400, paths: paths))
    let images = page.elements("img")
    let boxes = page.texts("div", class: "gone")
    #expect(images.count + boxes.count == 24)
    #expect(Set(boxes) == ["text.jpg", "gone.png"])
    for image in images {
      let url = try #require(image.attributes["src"])
      let start = "data:image/jpeg;base64,"
      try #require(url.hasPrefix(start))
      let bytes = try #require(Data(base64Encoded: String(url.dropFirst(start.count))))
      let picture = try ImageDecoder().decode([UInt8](bytes), name: "thumbnail")
      #expect(max(picture.width, picture.height) <= 160)
      #expect(image.attributes["width"] == "\(picture.width)")
    }
  }

  @Test(arguments: [0, 1, 2, 61, 500], [0, 1, 6, 40])
  func `Any number of epochs and parameter groups is drawn`(epochs: Int, groups: Int) throws {
    let page = try page(
      metrics: RunFigures.metrics(epochs, groupCount: groups), evaluation: nil,
      bestEpoch: epochs)
    #expect(page.elements("svg").count == (epochs == 0 ? 0 : groups == 0 ? 2 : 3))
    #expect(page.elements("path", class: "curve").count == (epochs == 0 ? 0 : 4 + groups))
    #expect(page.elements("path", class: "best").count == page.elements("svg").count)
    for chart in page.elements("svg") {
      let ids = try #require(chart.attributes["aria-labelledby"]).split(separator: " ")
      for id in ids { #expect(page.text.components(separatedBy: "id=\"\(id)\"").count == 2) }
    }
  }

  @Test func `Epochs may have any numbers`() throws {
    var metrics = RunFigures.metrics(3)
    (metrics[0].epoch, metrics[2].epoch) = (.min, .max)
    #expect(try page(metrics: metrics, evaluation: nil).elements("svg").count == 3)
    #expect(try page(metrics: [metrics[2]], evaluation: nil).elements("svg").count == 3)
  }

  @Test func `A curve is broken where its value has no place`() throws {
    var metrics = RunFigures.metrics(9, groupCount: 1)
    metrics[3].trainLoss = .nan
    metrics[4].trainLoss = -.infinity
    metrics[6].validationLoss = .greatestFiniteMagnitude
    // A warm-up from 0 has no place on a logarithmic axis.
    metrics[0].learningRates = [0]
    metrics[8].learningRates = []
    let page = try page(metrics: metrics, evaluation: nil)
    let paths = page.elements("path", class: "curve").compactMap { $0.attributes["d"] }
    #expect(paths.map { $0.count { $0 == "M" } } == [2, 1, 1, 1, 1])
    #expect(paths.map { $0.count { $0 == "L" } } == [5, 8, 8, 8, 6])
    for path in paths { #expect(path.allSatisfy { "MLHVhv0123456789. -".contains($0) }) }
  }

  @Test(
    arguments: [
      [0.5], [0], [-1, 1], [1e-300, 2e-300], [1, 1.0000000000000002], [.nan], [.infinity, 1],
      [-.greatestFiniteMagnitude, .greatestFiniteMagnitude], [3.2e-9, 7e12],
    ] as [[Double]])
  func `Values of any size have a place inside the picture`(values: [Double]) throws {
    let metrics = values.enumerated().map { index, value in
      EpochMetrics(
        epoch: index + 1, seconds: value, trainLoss: value, validationLoss: value, top1: value,
        top5: value, learningRates: [value])
    }
    let page = try page(metrics: metrics, evaluation: nil, bestEpoch: nil)
    for dot in page.elements("circle") {
      let x = try #require(dot.attributes["cx"].flatMap { Double($0) })
      let y = try #require(dot.attributes["cy"].flatMap { Double($0) })
      #expect((50...360).contains(x) && (0...220).contains(y))
    }
    for chart in page.text.split(separator: "<svg").dropFirst() {
      let labels = chart.matches(of: /text-anchor="end">([^<]*)</).map { String($0.output.1) }
      #expect((2...14).contains(labels.count) && Set(labels).count == labels.count)
    }
  }

  @Test func `Nothing is fetched from anywhere`() throws {
    let page = try page(
      evaluation: RunFigures.evaluation(["a", "b"], count: 50, paths: Self.pictures))
    for element in page.content.elements {
      #expect(element.attributes["href"] == nil)
      #expect(element.attributes["src"].map { $0.hasPrefix("data:") } ?? true)
    }
    #expect(!page.text.contains("url(") && !page.text.contains("@import"))
    #expect(page.text.contains("default-src 'none'"))
  }
}
