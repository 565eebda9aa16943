/// The order of the samples in an epoch.
public enum SampleOrder: Sendable, Hashable {
  /// The order of the folder.
  case asFound
  /// Each sample once, in a random order given by the seed and the epoch.
  case shuffled
  /// As many samples as the folder has, drawn with replacement: first a class, with equal
  /// probability, then one of its samples.
  case balanced

  /// The indices in the folder of an epoch's samples.
  func places(in folder: ImageFolder, seed: UInt64, epoch: Int) -> [Int] {
    var random = ImageRandom(seed: seed, epoch: epoch, index: -1)
    switch self {
    case .asFound: return Array(folder.samples.indices)
    case .shuffled: return random.permutation(folder.samples.count)
    case .balanced:
      var places = [[Int]](repeating: [], count: folder.classes.count)
      for (place, sample) in folder.samples.enumerated() where places.indices.contains(sample.label)
      {
        places[sample.label].append(place)
      }
      let filled = places.filter { !$0.isEmpty }
      guard !filled.isEmpty else { return [] }
      return folder.samples.indices.map { _ in
        let of = filled[random.below(filled.count)]
        return of[random.below(of.count)]
      }
    }
  }
}
