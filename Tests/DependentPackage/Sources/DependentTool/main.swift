import Foundation
import StateDictKit
import ZipArchive

// The API as another tool calls it: keep the backbone, rename it, merge it into a fresh state dict.
let arguments = CommandLine.arguments
guard arguments.count == 4 else {
  print("usage: DependentTool PRETRAINED FRESH OUT")
  exit(arguments.count == 1 ? 0 : 64)
}
let pretrained = try Checkpoint(contentsOf: arguments[1]).stateDict()
  .filter(include: "backbone", exclude: "fc")
  .renamingKeys(.stripPrefix("backbone."))
var model = try Checkpoint(contentsOf: arguments[2]).stateDict()
let report = try model.update(with: pretrained, skipMismatched: true)
try Checkpoint(model).write(to: arguments[3])
let archive = ZipReader(.init(path: arguments[3]))
print(
  "\(archive.file.path): \(report.replaced.count) keys replaced, \(model.totalElementCount) elements"
)
