import CkptCommands
import CkptPlatform
import Foundation
import Testing

/// What errors advise: values in the library, options in the command.
struct RemedyTests {
  private static let sources = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Sources")

  @Test
  func `no text of the library names an option of the command`() throws {
    let rooms = try FileManager.default.contentsOfDirectory(atPath: Self.sources.path())
    var read = 0
    var found: [String] = []
    for room in rooms where !["CkptCommands", "CkptTool"].contains(room) {
      let names = FileManager.default.enumerator(atPath: Self.sources.path() + "/" + room)
      while let name = names?.nextObject() as? String {
        guard name.hasSuffix(".swift") else { continue }
        let text = try String(
          contentsOfFile: Self.sources.path() + "/" + room + "/" + name, encoding: .utf8)
        read += 1
        for line in text.split(separator: "\n") {
          let code = line.prefix(
            upTo: line.firstRange(of: /(^|\s)\/\//)?.lowerBound ?? line.endIndex)
          // Variables of style sheets look alike.
          let styled = code.replacing(/var\(--[a-z]|--[a-z]:/, with: "")
          let isOption = styled.contains(/"[^"]*--[a-z]/) || code.contains(/"\\"ckpt [a-z]/)
          if isOption { found.append("\(room)/\(name): \(line)") }
        }
      }
    }
    #expect(read > 300)
    #expect(found == [])
  }

  @Test
  func `a remedy is told in the library's terms or in those of a tool`() {
    let remedy: Remedy = "\(.replaceExisting) replaces it, or choose \(3) others"
    #expect(remedy.actions == [.replaceExisting])
    #expect(remedy.description == "replacingExisting: true replaces it, or choose 3 others")
    #expect(remedy.text { _ in "-f" } == "-f replaces it, or choose 3 others")
    let error = FileError(.cannotCreate, "exists already", path: "a.pt", hint: remedy)
    #expect(error.hint == remedy.description)
    #expect(FileError(.cannotOpen, "cannot open", path: "a.pt").hint == nil)
  }
}
