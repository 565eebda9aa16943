// One import for everything that tools need.
@_exported public import CheckpointIO
@_exported public import Inspection
@_exported public import Merging
@_exported public import PickleFormat
@_exported public import Platform
@_exported public import Recipes
@_exported public import StateDicts
@_exported public import TensorStore
