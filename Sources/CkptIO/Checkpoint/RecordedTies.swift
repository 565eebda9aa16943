internal import CkptStateDicts

/// The names of tied tensors that a file without sharing records beside the tensors, as safetensors' `save_model` does:
/// a name that no tensor has, and the tensor that it stands for.
enum RecordedTies {
  /// Lets the names in `metadata` stand for their tensors again, and gives them.
  static func restore(
    in stateDict: inout StateDict, from metadata: [(key: String, value: String)]
  ) -> Set<String> {
    let written = stateDict
    var names = Set<String>()
    for (name, kept) in metadata where written.value(for: name) == nil {
      guard let tensor = written[kept] else { continue }
      stateDict[name] = tensor
      names.insert(name)
    }
    return names
  }
}
