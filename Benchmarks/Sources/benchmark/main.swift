// Measures whole processes side by side, in turn in one run: `ckpt`, `cp` of as many bytes, and the peers
// doing the same.
//
//   benchmark CKPT PYTHON [SECTION…] [megabytes=N] [rounds=N] [folder=PATH]
import Foundation

func measure(_ arguments: [String]) throws {
  guard arguments.count >= 2 else {
    throw Failure(description: "usage: benchmark CKPT PYTHON [SECTION…] [megabytes=N] [rounds=N]")
  }
  let settings = Dictionary(
    arguments.dropFirst(2).compactMap { argument -> (String, String)? in
      let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
      return parts.count == 2 ? (parts[0], parts[1]) : nil
    }, uniquingKeysWith: { $1 })
  let wanted = arguments.dropFirst(2).filter { !$0.contains("=") }
  for name in wanted where !Section.all.contains(where: { $0.name == name }) {
    throw Failure(
      description: "no section is called \(name); there are: "
        + Section.all.map(\.name).joined(separator: " "))
  }
  let folder =
    settings["folder"]
    ?? FileManager.default.temporaryDirectory.path + "/ckpt-benchmark-\(getpid())"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  // A folder that was named keeps its inputs for the next time.
  defer { if settings["folder"] == nil { try? FileManager.default.removeItem(atPath: folder) } }
  let context = Context(
    ckpt: arguments[0], python: arguments[1], folder: folder,
    rounds: settings["rounds"].flatMap(Int.init) ?? 7,
    megabytes: settings["megabytes"].flatMap(Int.init) ?? 1070)
  print(
    "Whole processes in turn, page cache warm, medians of \(context.rounds) rounds; ratios are "
      + "medians of each round's; peak is the maximum resident set size.")
  for section in Section.all where wanted.isEmpty || wanted.contains(section.name) {
    try section.measure(context)
  }
}

do {
  let arguments = CommandLine.arguments
  if arguments.count > 1, arguments[1] == "make" {
    try Inputs.make(Array(arguments.dropFirst(2)))
  } else {
    try measure(Array(arguments.dropFirst()))
  }
} catch {
  FileHandle.standardError.write(Data("benchmark: \(error)\n".utf8))
  exit(1)
}
