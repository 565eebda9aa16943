// swift-tools-version: 6.1
import PackageDescription

/// What every target is compiled with; no unsafe flags, so that other packages can depend on this one.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

let collections = Target.Dependency.product(
  name: "OrderedCollections", package: "swift-collections")

let package = Package(
  name: "StateDictKit",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "StateDictKit", targets: ["StateDictKit"]),
    .library(name: "TrainingCore", targets: ["TrainingCore"]),
    .library(name: "ModelZoo", targets: ["ModelZoo"]),
    .executable(name: "ckpt", targets: ["ckpt"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    // SHA-256.
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
  ],
  targets: [
    // System libraries.
    .systemLibrary(
      name: "CZip", pkgConfig: "libzip",
      providers: [.apt(["libzip-dev"]), .brew(["libzip"])]),
    .systemLibrary(
      name: "CZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .systemLibrary(name: "CLinux"),
    .systemLibrary(
      name: "CDeflate", pkgConfig: "libdeflate",
      providers: [.apt(["libdeflate-dev"]), .brew(["libdeflate"])]),

    // Loops over numbers, in C, compiled for several instruction sets (variants/InstructionSets.h).
    .target(
      name: "CKernels", cSettings: [.headerSearchPath("."), .headerSearchPath("variants")]),

    // The rooms; each depends only on those above it.
    .target(name: "Platform", dependencies: ["CLinux"], swiftSettings: settings),
    .target(name: "PickleFormat", dependencies: ["Platform"], swiftSettings: settings),
    .target(
      name: "Streaming", dependencies: ["CZlib", "CDeflate", "Platform"], swiftSettings: settings),
    .target(
      name: "ZipArchive", dependencies: ["CZip", "Platform", "Streaming"], swiftSettings: settings),
    .target(name: "TensorStore", dependencies: ["CKernels", "Platform"], swiftSettings: settings),
    .target(
      name: "StateDicts", dependencies: ["Platform", "TensorStore", collections],
      swiftSettings: settings),
    .target(
      name: "SafetensorsFormat", dependencies: ["Platform", "TensorStore"], swiftSettings: settings),
    .target(
      name: "GGUFFormat", dependencies: ["Platform", "TensorStore"], swiftSettings: settings),
    .target(
      name: "NumpyFormat", dependencies: ["Platform", "TensorStore"], swiftSettings: settings),
    .target(
      name: "Merging", dependencies: ["CKernels", "Platform", "TensorStore", "StateDicts", "Yams"],
      swiftSettings: settings),
    .target(
      name: "CheckpointIO",
      dependencies: [
        "Platform", "PickleFormat", "SafetensorsFormat", "GGUFFormat", "NumpyFormat", "Streaming",
        "ZipArchive", "TensorStore", "StateDicts",
      ],
      swiftSettings: settings),
    // Loops of the training core, in C, compiled for several instruction sets.
    .target(
      name: "CTrainingKernels",
      cSettings: [.headerSearchPath("."), .headerSearchPath("../CKernels/variants")]),
    .target(
      name: "TrainingCore",
      dependencies: ["CTrainingKernels", "Platform", "TensorStore", "StateDicts"],
      swiftSettings: settings),
    .target(
      name: "Recipes", dependencies: ["Platform", "StateDicts", "Yams"],
      resources: [.embedInCode("recipes.yml")], swiftSettings: settings),
    .target(
      name: "Inspection",
      dependencies: [
        "Platform", "TensorStore", "StateDicts", .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: settings),
    .target(
      name: "ModelZoo",
      dependencies: ["Platform", "TensorStore", "StateDicts", "TrainingCore", "Yams"],
      swiftSettings: settings),
    .target(
      name: "StateDictKit",
      dependencies: [
        "Platform", "PickleFormat", "TensorStore", "StateDicts", "Merging", "CheckpointIO",
        "Recipes",
        "Inspection",
      ],
      swiftSettings: settings),
    .target(
      name: "CheckpointCommands",
      dependencies: [
        "StateDictKit", "ModelZoo", "TrainingCore", "Yams",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "ckpt", dependencies: ["CheckpointCommands", "Platform"], swiftSettings: settings),

    // A program of one's own; `make interop` compares what it does with PyTorch.
    .executableTarget(
      name: "fine-tuning-example",
      dependencies: [
        "StateDictKit", "StateDicts", "TensorStore", "ModelZoo", "TrainingCore",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Examples/FineTuning", swiftSettings: settings),

    // A test target a room.
    .target(
      name: "TestSupport", dependencies: [.product(name: "Crypto", package: "swift-crypto")],
      path: "Tests/TestSupport", swiftSettings: settings),
    test("Platform"),
    test("PickleFormat"),
    test("Streaming", "Platform"),
    test("ZipArchive", "Platform", "Streaming"),
    test("TensorStore", "Platform"),
    test("SafetensorsFormat", "TensorStore", "Platform"),
    test("StateDicts", "TensorStore", "Platform"),
    test("GGUFFormat", "Platform", "TensorStore"),
    test("NumpyFormat", "Platform", "TensorStore"),
    test("Merging", "CKernels", "StateDictKit", "StateDicts", "TensorStore", "Platform"),
    test("CheckpointIO", "StateDictKit", "ZipArchive", "PickleFormat"),
    test("Recipes", "StateDicts", "TensorStore", "Platform"),
    test("TrainingCore", "StateDictKit", "StateDicts", "TensorStore"),
    test("Inspection", "TensorStore", "StateDicts", "Platform", "CheckpointIO"),
    test("StateDictKit"),
    test("ModelZoo", "StateDictKit", "TrainingCore", "StateDicts", "TensorStore", "Platform"),
    test("CheckpointCommands", "StateDictKit", "StateDicts", "TensorStore"),
  ]
)

/// The tests of a room, and the other rooms that they look into.
func test(_ room: String, _ others: String...) -> Target {
  .testTarget(
    name: room + "Tests",
    dependencies: ([room, "TestSupport"] + others).map { .init(stringLiteral: $0) },
    swiftSettings: settings)
}
