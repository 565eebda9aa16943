internal import StateDictKit

extension Checkpoint {
  /// Where the state dict is: at the path that the caller gave, or where it is found, which is named on stderr
  /// where it is not plain.
  func chosenPath(_ at: String?) throws -> String {
    if let at { return at }
    let place = try stateDictPlace()
    if place.wasSearched {
      Messages.write(
        "ckpt: "
          + Messages.line("the state dict at \(place.path) is taken (\(path)); --at names another"))
    }
    return place.path
  }

  /// The state dict at ``chosenPath(_:)``.
  func chosenStateDict(_ at: String?) throws -> StateDict { try stateDict(at: chosenPath(at)) }
}
