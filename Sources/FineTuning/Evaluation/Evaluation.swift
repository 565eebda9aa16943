/// The accuracy of a classifier on images whose classes are known.
public struct Evaluation: Sendable, Hashable {
  /// The prediction for one image.
  public struct Prediction: Sendable, Hashable {
    /// The path of the image.
    public var path: String
    /// The index of the image's class.
    public var label: Int
    /// The index of the class with the largest logit.
    public var predicted: Int
    /// The softmax of the predicted class's logit, from 0 to 1.
    public var probability: Double
    /// The cross entropy of the image.
    public var loss: Double

    /// Creates a prediction.
    public init(path: String, label: Int, predicted: Int, probability: Double, loss: Double) {
      self.path = path
      self.label = label
      self.predicted = predicted
      self.probability = probability
      self.loss = loss
    }
  }

  /// The names of the classes, in the order of the model's outputs.
  public var classes: [String]
  /// The mean cross entropy of the images.
  public var loss: Double
  /// The share of images whose class is among the five largest logits, from 0 to 1.
  public var top5: Double
  /// The prediction for each image, in the order of the folder.
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

  /// The confusion matrix: the number of images of each class (row) for each predicted class
  /// (column).
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

  /// Precision and recall of one class.
  public struct ClassFigures: Sendable, Hashable {
    /// The name of the class.
    public var name: String
    /// The number of images of the class.
    public var imageCount: Int
    /// Of the images that are predicted to be of the class, the share that are; nil if there are
    /// none.
    public var precision: Double?
    /// Of the images of the class, the share that are predicted to be of it; nil if there are none.
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

  /// The images whose predicted class is wrong, sorted by decreasing loss.
  public var mistakes: [Prediction] {
    predictions.filter { $0.label != $0.predicted }.sorted { $0.loss > $1.loss }
  }

  /// A class and another one that was predicted for some of its images.
  public struct ConfusedPair: Sendable, Hashable {
    /// The name of the images' class.
    public var truth: String
    /// The name of the predicted class.
    public var predicted: String
    /// The number of these images.
    public var count: Int
  }

  /// The pairs of classes that are confused, sorted by decreasing number of images.
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
