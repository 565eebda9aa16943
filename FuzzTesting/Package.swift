// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The targets test declarations that are `package` in the library, which is another package here.
let seesPackage = SwiftSetting.unsafeFlags(["-Xfrontend", "-disable-access-control"])

let package = Package(
  name: "FuzzTesting",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "StateDictKit", path: "..")],
  targets: [
    .target(
      name: "FuzzTargets",
      dependencies: [
        .product(name: "StateDictKit", package: "StateDictKit"),
        .product(name: "ModelZoo", package: "StateDictKit"),
        .product(name: "ImageData", package: "StateDictKit"),
      ], path: "Targets", swiftSettings: settings + [seesPackage]),
    .target(name: "CLibFuzzer"),
    .executableTarget(
      name: "ckpt-fuzz", dependencies: ["FuzzTargets", "CLibFuzzer"], swiftSettings: settings,
      linkerSettings: [.linkedLibrary("stdc++", .when(platforms: [.linux]))]),
  ]
)
