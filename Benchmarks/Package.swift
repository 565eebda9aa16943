// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "StateDictKit", path: "..")],
  targets: [
    .executableTarget(
      name: "benchmark", dependencies: [.product(name: "StateDictKit", package: "StateDictKit")],
      swiftSettings: [.swiftLanguageMode(.v6)]),
    .executableTarget(
      name: "training-benchmark",
      dependencies: [
        .product(name: "StateDictKit", package: "StateDictKit"),
        .product(name: "TrainingCore", package: "StateDictKit"),
      ],
      swiftSettings: [.swiftLanguageMode(.v6)]),
  ]
)
