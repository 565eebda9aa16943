package import CkptStateDicts
package import CkptText

/// Restores tied tensors from the metadata of formats without sharing, in which safetensors'
/// `save_model` records the names of omitted tensors, with the key of the stored tensor.
package enum RecordedTies {
  /// Adds the tensors whose names are recorded in `metadata`, and returns those names.
  package static func restore(
    in stateDict: inout StateDict, from metadata: [(key: String, value: String)]
  ) -> ExactSet {
    let written = stateDict
    var names = ExactSet()
    for (name, kept) in metadata where written.value(for: name) == nil {
      guard let tensor = written[kept] else { continue }
      stateDict[name] = tensor
      names.insert(name)
    }
    return names
  }
}
