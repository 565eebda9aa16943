/// What is wrong with a layer's arguments or with what it is given; the place is known further up.
struct LayerError: Error {
  let problem: String
  init(_ problem: String) { self.problem = problem }
}
