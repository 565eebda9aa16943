/// How well a classifier does on images whose classes are known.
public struct Evaluation: Sendable, Hashable {
  /// An image and what the model said of it.
  public struct Prediction: Sendable, Hashable {
    /// The image's file.
    public var path: String
    /// The index of its class.
    public var label: Int
    /// The index of the class with the largest logit.
    public var predicted: Int
    /// The probability of the predicted class, from 0 to 1.
    public var probability: Double
    /// The cross entropy of the image.
    public var loss: Double

    /// What the model said of an image.
    public init(path: String, label: Int, predicted: Int, probability: Double, loss: Double) {
      self.path = path
      self.label = label
      self.predicted = predicted
      self.probability = probability
      self.loss = loss
    }
  }

  /// The names of the classes.
  public var classes: [String]
  /// The mean cross entropy.
  public var loss: Double
  /// The share of images whose class is among the five largest logits, from 0 to 1.
  public var top5: Double
  /// What the model said of each image, in the order of the folder.
  public var predictions: [Prediction]

  /// An evaluation of what a model said.
  public init(classes: [String], loss: Double, top5: Double, predictions: [Prediction]) {
    self.classes = classes
    self.loss = loss
    self.top5 = top5
    self.predictions = predictions
  }

  /// The number of images.
  public var imageCount: Int { predictions.count }

  /// The share of images whose class has the largest logit, from 0 to 1; 0 without images.
  public var top1: Double {
    guard !predictions.isEmpty else { return 0 }
    return Double(predictions.count { $0.label == $0.predicted }) / Double(predictions.count)
  }

  /// How many images of a class (row) were taken for which class (column).
  public var confusion: [[Int]] {
    var counts = [[Int]](
      repeating: [Int](repeating: 0, count: classes.count), count: classes.count)
    for prediction in predictions
    where classes.indices.contains(prediction.label)
      && classes.indices.contains(prediction.predicted)
    {
      counts[prediction.label][prediction.predicted] += 1
    }
    return counts
  }

  /// How well one class is told from the others.
  public struct ClassFigures: Sendable, Hashable {
    /// The class's name.
    public var name: String
    /// The number of images of the class.
    public var imageCount: Int
    /// The share of the images taken for the class that are of it; nil if none is taken for it.
    public var precision: Double?
    /// The share of the class's images that are taken for it; nil if it has none.
    public var recall: Double?
  }

  /// Precision and recall of each class.
  public var classFigures: [ClassFigures] {
    var right = [Int](repeating: 0, count: classes.count)
    var (counts, taken) = (right, right)
    for prediction in predictions
    where classes.indices.contains(prediction.label)
      && classes.indices.contains(prediction.predicted)
    {
      counts[prediction.label] += 1
      taken[prediction.predicted] += 1
      if prediction.label == prediction.predicted { right[prediction.label] += 1 }
    }
    return classes.indices.map { label in
      let (right, count, taken) = (right[label], counts[label], taken[label])
      return ClassFigures(
        name: classes[label], imageCount: count,
        precision: taken > 0 ? Double(right) / Double(taken) : nil,
        recall: count > 0 ? Double(right) / Double(count) : nil)
    }
  }

  /// The images that were taken for another class, those of the largest loss first.
  public var mistakes: [Prediction] {
    predictions.filter { $0.label != $0.predicted }.sorted { $0.loss > $1.loss }
  }

  /// Two classes of which images of one were taken for the other.
  public struct ConfusedPair: Sendable, Hashable {
    /// The name of the images' class.
    public var truth: String
    /// The name of the class that they were taken for.
    public var predicted: String
    /// The number of the images.
    public var count: Int
  }

  /// The pairs of classes that are confused, the most frequent first.
  public var confusedPairs: [ConfusedPair] {
    var counts: [[Int]: Int] = [:]
    for mistake in mistakes { counts[[mistake.label, mistake.predicted], default: 0] += 1 }
    return counts.sorted { ($0.value, $1.key[0], $1.key[1]) > ($1.value, $0.key[0], $0.key[1]) }
      .compactMap { pair, count in
        guard classes.indices.contains(pair[0]), classes.indices.contains(pair[1]) else {
          return nil
        }
        return ConfusedPair(
          truth: classes[pair[0]], predicted: classes[pair[1]], count: count)
      }
  }
}
