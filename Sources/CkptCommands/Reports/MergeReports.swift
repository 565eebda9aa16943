internal import StateDictKit

/// The keys that a merge took from the first file without merging, as JSON, and where the others
/// differ.
struct KeptReport: Encodable {
  struct Difference: Encodable {
    let key, what: String
    let inputs: [String]
  }
  let differing: [Difference]
  let not_compared: [String]

  init(_ result: StateDictMerge.Result) {
    differing = result.differing.map { .init(key: $0.key, what: $0.what, inputs: $0.inputs) }
    not_compared = result.notCompared
  }

  /// Prints all of them as warnings on stderr.
  func warn() {
    for one in differing {
      Messages.warn(
        "kept from the first file: \(one.key), \(one.what), though other in "
          + one.inputs.joined(separator: ", "))
    }
    if !not_compared.isEmpty {
      Messages.warn(
        "kept from the first file, not compared: " + not_compared.joined(separator: ", "))
    }
  }
}

/// Losses of precision in a merge, after it was written, and substitutes for missing heads.
struct MergeLossReport {
  struct Loss: Encodable {
    let key: String
    let overflowed, vanished, not_numbers: Int
  }
  struct Rounded: Encodable {
    let key, input: String
  }
  struct Head: Encodable {
    let key, input, embedding: String
  }
  let losses: [Loss]
  /// The inputs' tensors whose numbers became infinite when they were rounded to the recipe's
  /// dtype.
  let rounded: [Rounded]
  let heads: [Head]

  init(_ result: StateDictMerge.Result) {
    losses = result.tallies.filter { !$0.losses.isEmpty }.map {
      let losses = $0.losses
      return Loss(
        key: $0.key, overflowed: losses.overflowed, vanished: losses.vanished,
        not_numbers: losses.notNumbers)
    }
    rounded = result.roundings.filter { $0.tally.losses.overflowed > 0 }.map {
      Rounded(key: $0.key, input: $0.input)
    }
    heads = result.tiedHeads.map { Head(key: $0.key, input: $0.input, embedding: $0.embedding) }
  }

  /// Prints the report, like `convert`.
  func show() {
    for loss in losses {
      print(
        "lost      \(Messages.line(loss.key)): \(loss.overflowed) overflowed, "
          + "\(loss.vanished) went to zero"
          + (loss.not_numbers > 0 ? ", \(loss.not_numbers) became NaN" : ""))
    }
    for one in rounded {
      print(
        "lost      \(Messages.line(one.key)): overflowed when \(Messages.line(one.input)) was "
          + "rounded to another dtype")
    }
  }
}
