import CkptIO
import CkptTestSupport
import Testing

@Suite("Tensors that the root leads to")
struct ReachableTensorTests {
  /// How many objects are a `torch.Tensor` among those that `torch.load` makes, by their identity, through containers
  /// and `__dict__`. No file holds sparse or nested
  /// tensors: here what they are made of counts, there they do.
  static let counts = [
    ("demo", 26), ("training", 34), ("views", 10), ("two_candidates", 3), ("module_state_dict", 9),
    ("one_tensor", 1), ("all_dtypes", 22), ("optimizers/timm", 37), ("legacy_training", 34),
    ("parameters", 5), ("cycles", 1), ("quantized", 3), ("subclass", 2),
  ]

  @Test(arguments: counts)
  func `As many are counted as PyTorch makes`(_ name: String, _ count: Int) throws {
    #expect(try Checkpoint(contentsOf: Fixtures.path(name + ".pt")).reachableTensorCount() == count)
  }
}
