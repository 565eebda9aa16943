internal import CCkptKernels
internal import Foundation
internal import CkptBytes

/// NearSwap: the second input's elements where they are within `t` of the base's; elsewhere the
/// base moved by `t` towards them.
struct NearSwap: TensorMerge, BlockMerge {
  let t: Double

  var needsPreparation: Bool { false }
  func prepared(by pass: InputPass) -> any BlockMerge { self }

  func merge(_ block: MergeBlock) {
    ck_near_swap(block.inputs[0], block.inputs[1], t, block.output, block.count)
  }
}
