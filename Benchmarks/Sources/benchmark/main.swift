// Measures whole processes side by side: `ckpt`, `cp` of as many bytes, and PyTorch doing the same.
//
//   benchmark CKPT PYTHON [MEGABYTES] [ROUNDS]
import Foundation
import StateDictKit

/// A checkpoint like a network's: many small tensors, some large, a fifth of the bytes under `head.`.
func makeCheckpoint(at path: String, bytes: Int, seed: UInt64) throws {
  var stateDict = StateDict()
  var state = seed
  var made = 0
  var number = 0
  while made < bytes {
    let rows = number % 3 == 0 ? 1 : 1024
    var data = [UInt8](repeating: 0, count: rows * 4096)
    data.withUnsafeMutableBytes { buffer in
      for index in stride(from: 0, to: buffer.count, by: 8) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        // Finite floats: exponents near 1.
        let bits = state & 0x007F_FFFF_007F_FFFF | 0x3F00_0000_3F00_0000
        buffer.storeBytes(of: bits.littleEndian, toByteOffset: index, as: UInt64.self)
      }
    }
    let part = number % 5 == 4 ? "head" : "backbone"
    stateDict["module.\(part).layer\(number).weight"] = try Tensor(
      storage: Storage(bytes: data), elementType: .float32, shape: [rows, 1024])
    made += data.count
    number += 1
  }
  try Checkpoint(stateDict).write(to: path, replacingExisting: true)
}

func text(_ value: Double, _ digits: Int = 2) -> String { String(format: "%.\(digits)f", value) }

func benchmark(_ arguments: [String]) throws {
  guard arguments.count >= 3 else {
    throw Failure(description: "usage: benchmark CKPT PYTHON [MEGABYTES] [ROUNDS]")
  }
  let (ckpt, python) = (arguments[1], arguments[2])
  let megabytes = arguments.count > 3 ? Int(arguments[3]) ?? 1070 : 1070
  let rounds = arguments.count > 4 ? Int(arguments[4]) ?? 7 : 7
  let folder = FileManager.default.temporaryDirectory.path + "/ckpt-benchmark-\(getpid())"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  let (a, b, out) = (folder + "/a.pt", folder + "/b.pt", folder + "/out.pt")
  // In a process of its own: a child's peak begins at its parent's.
  for (path, seed) in [(a, "1"), (b, "2")] {
    _ = try run([arguments[0], "make", path, "\(megabytes * 1_000_000)", seed])
  }
  let script = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../peers/pytorch.py").standardized.path(percentEncoded: false)

  let works: [(name: String, ckpt: [String], peer: [String])] = [
    ("filter", ["filter", a, "--exclude", "head", "-o", out], ["filter", a, out]),
    (
      "rename-keys", ["rename-keys", a, "--strip-prefix", "module.", "-o", out], ["rename", a, out]
    ),
    ("merge update", ["merge", a, b, "-o", out], ["update", a, b, out]),
    ("ls", ["ls", a], ["ls", a]),
  ]
  print(
    "\(megabytes) MB, medians of \(rounds), page cache warm; peak is the maximum resident set size\n"
  )
  print(
    "| work | ckpt | `cp` of the output | PyTorch, mmap | its import alone | ckpt / cp | PyTorch / ckpt | peak ckpt | peak PyTorch |"
  )
  print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
  for work in works {
    var (own, copy, peer, bare): ([Run], [Run], [Run], [Run]) = ([], [], [], [])
    let writes = work.name != "ls"
    for _ in 0..<rounds {
      try? FileManager.default.removeItem(atPath: out)
      own.append(try run([ckpt] + work.ckpt))
      if writes {
        try? FileManager.default.removeItem(atPath: out + ".copy")
        copy.append(try run(["cp", "--reflink=never", out, out + ".copy"]))
        try? FileManager.default.removeItem(atPath: out + ".copy")
      }
      try? FileManager.default.removeItem(atPath: out)
      peer.append(try run([python, script] + work.peer))
      bare.append(try run([python, "-c", "import torch"]))
    }
    let (ours, theirs) = (median(own.map(\.seconds)), median(peer.map(\.seconds)))
    let copies = median(copy.map(\.seconds))
    let peaks = [own, peer].map { text(Double($0.map(\.peakBytes).max() ?? 0) / 1e6, 0) + " MB" }
    print(
      "| \(work.name) | \(text(ours, 3)) s | \(writes ? text(copies, 3) + " s" : "") "
        + "| \(text(theirs)) s | \(text(median(bare.map(\.seconds)))) s "
        + "| \(writes ? text(ours / copies) : "") | \(text(theirs / ours, 1)) "
        + "| \(peaks[0]) | \(peaks[1]) |")
  }
}

do {
  let arguments = CommandLine.arguments
  if arguments.count == 5, arguments[1] == "make" {
    try makeCheckpoint(
      at: arguments[2], bytes: Int(arguments[3]) ?? 0, seed: UInt64(arguments[4]) ?? 0)
  } else {
    try benchmark(arguments)
  }
} catch {
  FileHandle.standardError.write(Data("benchmark: \(error)\n".utf8))
  exit(1)
}
