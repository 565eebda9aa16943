/// A part of the benchmarks that can be asked for by name; each has a file of its own.
struct Section {
  let name: String
  let measure: (Context) throws -> Void

  static var all: [Section] {
    [
      Section(name: "start", measure: measureStart),
      Section(name: "editing", measure: measureEditing),
      Section(name: "merging", measure: measureMerging),
      Section(name: "looking", measure: measureLooking),
      Section(name: "memory", measure: measureMemory),
      Section(name: "formats", measure: measureFormats),
      Section(name: "distributed-and-gguf", measure: measureDistributedAndGGUF),
      Section(name: "finetune", measure: measureFineTuning),
    ]
  }
}
