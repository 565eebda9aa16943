/// An error in a layer's arguments or inputs; callers add the location.
struct LayerError: Error {
  let problem: String
  init(_ problem: String) { self.problem = problem }
}
