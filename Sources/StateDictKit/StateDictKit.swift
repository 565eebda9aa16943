// One import for everything that tools need.
@_exported public import CkptIO
@_exported public import CkptInspection
@_exported public import CkptIntegrity
@_exported public import CkptMerging
@_exported public import CkptPatterns
@_exported public import CkptPlatform
@_exported public import CkptRecipes
@_exported public import CkptScanning
@_exported public import CkptStateDicts
@_exported public import CkptTensors
