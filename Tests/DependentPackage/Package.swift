// swift-tools-version: 6.1
import PackageDescription

// A package that depends on this one by path, as other Swift tools do, and on another one whose targets have
// names that anybody may use; CI builds it.
let package = Package(
  name: "DependentPackage",
  platforms: [.macOS(.v15)],
  dependencies: [
    .package(name: "StateDictKit", path: "../.."), .package(path: "Neighbor"),
  ],
  targets: [
    .executableTarget(
      name: "DependentTool",
      dependencies: [
        .product(name: "StateDictKit", package: "StateDictKit"),
        .product(name: "Neighbor", package: "Neighbor"),
      ])
  ]
)
