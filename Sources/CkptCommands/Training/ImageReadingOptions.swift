internal import ArgumentParser
internal import TrainingCore

/// The option for the number of threads.
struct ThreadOptions: ParsableArguments {
  @Option(help: "How many threads compute and decode. (default: all processors)")
  var threads: Int?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads is a number from 1 to 1024")
    }
  }

  /// Sets the number of threads for operations, if it is given.
  func apply() {
    if let threads { ComputeThreads.count = threads }
  }
}

/// The options of `predict` and `evaluate` for reading images.
struct ImageReadingOptions: ParsableArguments {
  @Option(help: "How many images the model sees at once.") var batchSize = 32
  @OptionGroup var threading: ThreadOptions
  @Flag(help: "Leave out images that cannot be read, and list them.") var skipBad = false

  func validate() throws {
    guard (1...65_536).contains(batchSize) else {
      throw ValidationError("--batch-size is a number from 1 to 65536")
    }
  }

  /// The names of the options that have an effect on the result or its computation.
  static let names = ["batch-size", "threads"]
}
