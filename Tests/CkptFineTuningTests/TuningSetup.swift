import CkptStateDicts
import CkptTestSupport
import FineTuning
import Foundation
import StateDictKit

/// A fine-tuning of the fixture's narrow ResNet-18 on its pictures of shapes.
struct TuningSetup {
  static let shapes = Fixtures.path("finetune/shapes")

  /// Options for the pictures, which are of 32 pixels.
  static func options(_ change: (inout FineTuningOptions) -> Void = { _ in }) -> FineTuningOptions {
    var options = FineTuningOptions()
    options.data = shapes
    options.model = "resnet18"
    (options.size, options.resize, options.epochs, options.batchSize) = (32, 37, 2, 8)
    options.learningRate = 0.002
    change(&options)
    return options
  }

  /// The backbone that MoCo saved, under the model's own keys.
  static func weights() throws -> StateDict {
    try Checkpoint(contentsOf: Fixtures.path("finetune/moco.pt")).stateDict(at: "state_dict")
      .filter(exclude: "under:module.encoder_q.fc")
      .renamingKeys(.stripPrefix("module.encoder_q."))
  }

  /// A fine-tuning that has not begun.
  static func tuner(_ options: FineTuningOptions = options(), weights: StateDict? = nil) throws
    -> FineTuner
  {
    let images = try TrainingImages(
      options.data, share: options.validationShare, seed: options.seed)
    let start = try StartingModel(
      options, classes: images.classes, weights: weights ?? Self.weights())
    return try FineTuner(options, images, start)
  }

  /// The bits of everything that a run saved, but for times; by path.
  static func bits(_ path: String) throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    var open = [("", try Checkpoint(contentsOf: path).plainValue())]
    while let (name, value) = open.popLast() {
      switch value {
      case .dict(let entries):
        for (key, value) in entries { open.append(("\(name)/\(key)", value)) }
      case .list(let items), .tuple(let items):
        for (index, item) in items.enumerated() { open.append(("\(name)/\(index)", item)) }
      case .tensor(let tensor): found[name] = try tensor.floats().flatMap { $0.bitPattern.bytes }
      default:
        if !name.contains("seconds"), !name.contains("started_at") {
          found[name] = Array("\(value)".utf8)
        }
      }
    }
    return found
  }
}

extension UInt32 {
  var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) } }
}
