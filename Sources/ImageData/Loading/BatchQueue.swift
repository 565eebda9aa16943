internal import CkptPlatform
internal import Foundation

/// The state that the threads of an epoch share: the next sample, and the batches in progress.
final class BatchQueue: @unchecked Sendable {
  /// A finished batch, and the images left out of it; no batch if all were left out.
  struct Made {
    var batch: ImageBatch?
    var omissions: [EpochBatches.Omission] = []
  }

  /// A batch in progress.
  private final class Slot {
    /// The memory of the batch's samples.
    let values: BatchValues
    /// The number of samples that are not finished yet.
    var missing: Int
    var decisions: [ImageTransform.Decisions?]
    var errors: [ImageError?]

    init(count: Int, size: Int) {
      values = BatchValues(count: count * size)
      missing = count
      decisions = Array(repeating: nil, count: count)
      errors = Array(repeating: nil, count: count)
    }
  }

  private let loader: DataLoader
  private let epoch: Int
  private let plan: EpochPlan
  private let batchCount: Int
  private let sampleSize: Int

  // The properties below are accessed only while `condition` is locked.
  private let condition = NSCondition()
  private var slots: [Int: Slot] = [:]
  private var nextSample: Int
  private var taken: Int
  private var isStopped = false
  private var failure: (any Error)?

  init(_ loader: DataLoader, epoch: Int, plan: EpochPlan, firstBatch: Int) {
    self.loader = loader
    self.epoch = epoch
    self.plan = plan
    batchCount = loader.batchCount(of: plan.order.count)
    taken = firstBatch
    nextSample = min(firstBatch * loader.batchSize, plan.order.count)
    sampleSize = 3 * loader.transform.size.height * loader.transform.size.width
  }

  /// Stops the threads.
  func stop() {
    condition.lock()
    isStopped = true
    slots = [:]
    condition.broadcast()
    condition.unlock()
  }

  /// Lets the next ``take(_:)`` throw an error.
  func fail(_ error: any Error) {
    condition.lock()
    failure = error
    condition.unlock()
  }

  /// The work of one thread: decodes and transforms samples until none are left.
  func work() {
    var workshop = SampleWorkshop(loader.transform)
    while let (number, slot, place) = claim() {
      var error: ImageError?
      var decided = ImageTransform.Decisions()
      do throws(ImageError) {
        decided = try slot.values.withSample(place, size: sampleSize) {
          target throws(ImageError) in try make(number, &workshop, &target)
        }
      } catch let failure {
        error = failure
      }
      condition.lock()
      slot.decisions[place] = decided
      slot.errors[place] = error
      slot.missing -= 1
      if slot.missing == 0 { condition.broadcast() }
      condition.unlock()
    }
  }

  /// Decodes and transforms one sample.
  private func make(
    _ number: Int, _ workshop: inout SampleWorkshop, _ target: inout MutableSpan<Float>
  ) throws(ImageError) -> ImageTransform.Decisions {
    let path = loader.folder.samples[plan.order[number]].path
    let image = try loader.decoder.decode(path)
    var random = ImageRandom(seed: loader.seed, epoch: epoch, index: number)
    let decisions =
      plan.decisions.map { $0[number] }
      ?? loader.transform.decisions(width: image.width, height: image.height, random: &random)
    do throws(ImageError) {
      try workshop.write(image, decisions, to: &target)
    } catch .badRequest(let problem) {
      throw .damaged(file: path, problem)
    }
    return decisions
  }

  /// Waits until the next sample may be started, and claims it; nil if there are none left.
  private func claim() -> (number: Int, slot: Slot, place: Int)? {
    condition.lock()
    defer { condition.unlock() }
    while !isStopped {
      var batch = nextSample / loader.batchSize
      if batch == batchCount, batch > 0,
        loader.samples(of: batch - 1, in: plan).contains(nextSample)
      {
        batch -= 1
      }
      guard batch < batchCount, nextSample < plan.order.count else { return nil }
      if batch < taken + max(1, loader.lookAhead) {
        let samples = loader.samples(of: batch, in: plan)
        let slot = slots[batch] ?? Slot(count: samples.count, size: sampleSize)
        slots[batch] = slot
        defer { nextSample += 1 }
        return (nextSample, slot, nextSample - samples.lowerBound)
      }
      condition.wait()
    }
    return nil
  }

  /// Waits for the next batch; nil after the last one.
  ///
  /// - Throws: the error of a bad image, unless those are skipped; `CancelledError`.
  func take(_ cancellation: Cancellation?) throws -> Made? {
    condition.lock()
    defer { condition.unlock() }
    while true {
      if cancellation?.isCancelled == true {
        isStopped = true
        condition.broadcast()
        throw CancelledError()
      }
      if let failure { throw failure }
      guard taken < batchCount, !isStopped else { return nil }
      if let slot = slots[taken], slot.missing == 0 { return try finish(slot) }
      // A cancellation does not signal the condition, so it is polled.
      _ = condition.wait(until: Date(timeIntervalSinceNow: 0.05))
    }
  }

  /// Removes the next batch from the queue and compacts it if images were left out.
  private func finish(_ slot: Slot) throws -> Made {
    let number = taken
    let samples = loader.samples(of: number, in: plan)
    slots[number] = nil
    taken += 1
    condition.broadcast()
    var made = Made()
    for (place, error) in slot.errors.enumerated() {
      guard let error else { continue }
      guard loader.skipsBad else {
        isStopped = true
        slots = [:]
        throw error
      }
      let sample = loader.folder.samples[plan.order[samples.lowerBound + place]]
      made.omissions.append(EpochBatches.Omission(path: sample.path, error: error))
    }
    let kept = slot.errors.indices.filter { slot.errors[$0] == nil }
    if !made.omissions.isEmpty { slot.values.keep(kept, size: sampleSize) }
    guard !kept.isEmpty else { return made }
    let places = kept.map { plan.order[samples.lowerBound + $0] }
    made.batch = ImageBatch(
      values: slot.values,
      shape: [kept.count, 3, loader.transform.size.height, loader.transform.size.width],
      labels: places.map { loader.folder.samples[$0].label }, places: places,
      numbers: number..<number + 1, decisions: kept.compactMap { slot.decisions[$0] })
    return made
  }
}
