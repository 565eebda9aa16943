internal import ArgumentParser
internal import TrainingCore

/// The number of threads of a command that computes.
struct ThreadOptions: ParsableArguments {
  @Option(help: "How many threads compute and decode. (default: all processors)")
  var threads: Int?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads is a number from 1 to 1024")
    }
  }

  /// Lets operations use as many threads, if a number was given.
  func apply() {
    if let threads { ComputeThreads.count = threads }
  }
}

/// How a command reads images for a model that was trained already.
struct ImageReadingOptions: ParsableArguments {
  @Option(help: "How many images the model sees at once.") var batchSize = 32
  @OptionGroup var threading: ThreadOptions
  @Flag(help: "Leave out images that cannot be read, and list them.") var skipBad = false

  func validate() throws {
    guard (1...65_536).contains(batchSize) else {
      throw ValidationError("--batch-size is a number from 1 to 65536")
    }
  }

  /// The options that decide something.
  static let names = ["batch-size", "threads"]
}
