// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The name that SwiftPM gives to the package in the parent folder, which is that folder's. The
/// targets are compiled as a part of it, since they test declarations that are `package`.
let parent = String(
  (Context.packageDirectory.split(separator: "/").dropLast().last ?? "").lowercased()
    .map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })

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
      ], path: "Targets", swiftSettings: settings + [.unsafeFlags(["-package-name", parent])]),
    .target(name: "CLibFuzzer"),
    .executableTarget(
      name: "ckpt-fuzz", dependencies: ["FuzzTargets", "CLibFuzzer"], swiftSettings: settings,
      linkerSettings: [.linkedLibrary("stdc++", .when(platforms: [.linux]))]),
  ]
)
