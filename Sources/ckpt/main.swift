import PickleFormat
import Foundation
for path in CommandLine.arguments.dropFirst() {
  let bytes = [UInt8](FileManager.default.contents(atPath: path)!)
  do {
    let g = try PickleGraph(decoding: bytes)
    let e = try g.encoded()
    if e != bytes {
      let d = zip(e, bytes).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? -1
      print("DIFF", path, "at", d, e.count, bytes.count) }
    let e2 = try PickleGraph(decoding: e).encoded()
    if e2 != e { print("UNSTABLE", path) }
    FileManager.default.createFile(atPath: path + ".out", contents: Data(e))
  } catch { print("ERR", path, error) }
}
