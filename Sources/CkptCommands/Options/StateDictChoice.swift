internal import StateDictKit

extension Checkpoint {
  /// The path of the state dict: the given one, or the one found, which is printed on stderr if it
  /// is not obvious.
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
