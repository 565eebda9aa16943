// swift-tools-version: 6.1
import PackageDescription

// A package that depends on this one by path, as other Swift tools do; CI builds it.
let package = Package(
  name: "DependentPackage",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "StateDictKit", path: "../..")],
  targets: [
    .executableTarget(
      name: "DependentTool",
      dependencies: [.product(name: "StateDictKit", package: "StateDictKit")])
  ]
)
