internal import CkptBytes
internal import CkptGGUF
internal import CkptNumpy
internal import CkptPlatform
internal import CkptSafetensors
internal import CkptTensors

extension FuzzTarget {
  /// Formats with a header, read directly and as a checkpoint.
  static let headers: [FuzzTarget] = [
    FuzzTarget("safetensors") { bytes, folder in
      let path = try folder.write(bytes, to: "x.safetensors")
      let file = try File(readingFrom: path)
      let header = try SafetensorsHeader(reading: file)
      let total = header.entries.reduce(0) { $0 + $1.range.count }
      try Fault.unless(
        header.dataOffset + total == bytes.count, "the tensors do not fill the file")
      _ = try header.tensors(in: file)
      try CheckpointExercise.run(path)
    },
    FuzzTarget("index") { bytes, folder in
      let path = try folder.write(bytes, to: "x.safetensors.index.json")
      _ = try ShardIndex(reading: File(readingFrom: path))
      try CheckpointExercise.run(path)
    },
    FuzzTarget("gguf") { bytes, folder in
      let path = try folder.write(bytes, to: "x.gguf")
      let file = try GGUFFile(File(readingFrom: path))
      for entry in file.tensors {
        try Fault.unless(
          entry.region.offset + entry.region.byteCount <= bytes.count,
          "a tensor lies outside the file")
        _ = try? entry.rawTensor().contiguousBytes()
        _ = try? entry.dequantizedTensor()?.contiguousSource().allBytes()
      }
      try CheckpointExercise.run(path)
    },
    FuzzTarget("npy") { bytes, folder in
      let count = try NumpyHeader.byteCount(of: Array(bytes.prefix(12)), file: "x")
      let header = try NumpyHeader(Array(bytes.prefix(count)), file: "x")
      if let written = try? NumpyHeader(dtype: header.dtype, shape: header.shape).bytes(key: "x") {
        do {
          let again = try NumpyHeader(written, file: "x")
          try Fault.unless(
            again.shape == header.shape && again.dtype == header.dtype, "a header changes")
        } catch {
          throw Fault(problem: "a written header is refused: \(error)")
        }
      }
      try CheckpointExercise.run(folder.write(bytes, to: "x.npy"))
    },
  ]
}
