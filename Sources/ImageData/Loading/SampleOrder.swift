/// In which order an epoch shows the pictures of a folder.
public enum SampleOrder: Sendable, Hashable {
  /// As they are in the folder.
  case asFound
  /// Each once, in an order that the seed and the epoch decide.
  case shuffled
  /// As many as there are pictures, each drawn anew: first a class, all as likely, then one of its pictures.
  case balanced

  /// The places of an epoch's samples in a folder.
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
