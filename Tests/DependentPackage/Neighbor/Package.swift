// swift-tools-version: 6.1
import PackageDescription

// A package whose targets have names that anybody may use.
let package = Package(
  name: "Neighbor",
  products: [.library(name: "Neighbor", targets: ["Platform", "ZipArchive"])],
  targets: [.target(name: "Platform"), .target(name: "ZipArchive", dependencies: ["Platform"])]
)
