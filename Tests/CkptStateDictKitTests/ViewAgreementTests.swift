import CkptBytes
import StateDictKit
import CkptTestSupport
import Testing

/// Whatever is done with views of one storage gives what it gives with tensors that have elements of their own.
@Suite("Views and tensors of their own agree")
struct ViewAgreementTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Random views of one storage by key, some of them tied; `layout` decides the views, `values` the numbers.
  private func views(layout: Int, values: Int, _ type: DType) throws -> StateDict {
    var (random, numbers) = (SeededRandom(layout), SeededRandom(values))
    let bytes = (0..<64).flatMap { _ in
      let number = Float.random(in: -1...1, using: &numbers)
      return withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) }
    }
    let storage = Storage(bytes: bytes)
    var result = StateDict()
    for index in 0..<8 {
      let shape = [[4], [2, 3], [1, 4], [3, 1], [], [0, 2]].randomElement(using: &random) ?? []
      var tensor = try Tensor(
        storage: storage, dtype: type, shape: shape,
        strides: shape.map { _ in Int.random(in: 0...3, using: &random) },
        offset: Int.random(in: 0...4, using: &random))
      tensor.isConjugate = Bool.random(using: &random)
      tensor.isNegative = Bool.random(using: &random)
      if index % 3 == 2, let earlier = result["k\(index - 1)"] { tensor = earlier }
      result["k\(index)"] = tensor
    }
    return result
  }

  private func alone(_ stateDict: StateDict) throws -> StateDict {
    var result = stateDict
    for (key, tensor) in stateDict.tensors {
      let source = try tensor.resolvedSource()
      result[key] = try Tensor(
        storage: Storage(bytes: source.bytes(in: 0..<source.byteCount)),
        dtype: tensor.dtype, shape: tensor.shape)
    }
    return result
  }

  private func bytes(_ stateDict: StateDict) throws -> [String: [UInt8]] {
    try Dictionary(
      uniqueKeysWithValues: stateDict.tensors.map { key, tensor in
        let source = try tensor.resolvedSource()
        if case .computed(let bytes) = source { try bytes.prepare() }
        return (key, try source.bytes(in: 0..<source.byteCount))
      })
  }

  @Test("Merging", arguments: 0..<20)
  func merge(seed: Int) throws {
    for method in [MergeMethod.linear, .taskArithmetic, .slerp] {
      let models = try [100, 200].map {
        try views(layout: seed, values: seed + $0, .float32)
      }
      func merged(_ models: [StateDict]) throws -> StateDict {
        var merge = StateDictMerge(
          method: method,
          inputs: models.enumerated().map { MergeInput(name: "\($0)", stateDict: $1) },
          base: method.baseUse == .required ? 0 : nil)
        merge.settings = MergeSettings([.weight: MergeSetting(0.3), .t: MergeSetting(0.3)])
        return try merge.merged().stateDict
      }
      #expect(try bytes(merged(models)) == bytes(merged(models.map(alone))))
    }
  }

  @Test("Digests, differences and conversions", arguments: 0..<20)
  func inspection(seed: Int) throws {
    for type in [DType.float32, .complex64, .int32] {
      let a = try views(layout: seed, values: seed + 100, type)
      let b = try views(layout: seed + 1, values: seed + 100, type).filter { key, tensor in
        a[key]?.shape == tensor.tensor?.shape
      }
      let (ownA, ownB) = (try alone(a), try alone(b))
      #expect(try StateDictDigest(a).digest == StateDictDigest(ownA).digest)
      #expect(try StateDictDifference(from: a, to: ownA).isEqual)
      let changed = try StateDictDifference(from: a, to: b).changed.map(\.key)
      #expect(try changed == StateDictDifference(from: ownA, to: ownB).changed.map(\.key))
      // Views of the same layout differ exactly where their bytes do.
      let (left, right) = (try bytes(ownA), try bytes(ownB))
      #expect(Set(changed) == Set(right.keys.filter { left[$0] != right[$0] }))
      let target: DType = type == .complex64 ? .complex128 : .float64
      let converted = try a.converting(to: target) { _, _ in true }.stateDict
      let ownConverted = try ownA.converting(to: target) { _, _ in true }.stateDict
      #expect(try bytes(converted) == bytes(ownConverted))
      #expect(converted.ties == a.ties)
    }
  }

  @Test("Files and what loads from them", arguments: 0..<10)
  func files(seed: Int) throws {
    for type in [DType.float32, .complex64] {
      let a = try views(layout: seed, values: seed + 100, type)
      for (name, ties) in [("a.pt", TiePolicy.keepFirst), ("a.safetensors", .copy)] {
        var options = WriteOptions()
        options.ties = ties
        let path = folder.file("\(seed)-\(type.name)-\(name)")
        try Checkpoint(a).write(to: path, options: options)
        let read = try Checkpoint(contentsOf: path).stateDict(at: "/")
        #expect(try bytes(read) == bytes(a))
        if ties == .keepFirst { #expect(read.ties == a.ties) }
      }
      let report = try alone(a).validate(against: a, comparesTies: true)
      #expect(report.isLoadable && report.brokenTies.allSatisfy { $0.valuesDiffer == false })
      let distinct = Dictionary(
        a.tensors.map { ($0.tensor.view, $0.tensor.elementCount) }, uniquingKeysWith: { $1 })
      #expect(report.expectedElements == distinct.values.reduce(0, +))
      #expect(report.loadedElements == report.expectedElements)
    }
  }

  @Test("A model whose tied key comes with the other sign has a broken tie, with other values")
  func signs() throws {
    let own = try Tensor([1, 2] as [Float], shape: [2])
    var negative = own
    negative.isNegative = true
    let reference = StateDict(["embed": own, "head": own])
    let report = try StateDict(["embed": own, "head": negative])
      .validate(against: reference, comparesTies: true)
    #expect(report.brokenTies.map(\.keys) == [["embed", "head"]])
    #expect(report.brokenTies.map(\.valuesDiffer) == [true])
    #expect(StateDict(["embed": own, "head": negative]).ties.isEmpty)
  }
}
