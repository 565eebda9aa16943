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
    .executable(name: "ckpt", targets: ["CkptTool"]),
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
      name: "CCkptZip", pkgConfig: "libzip",
      providers: [.apt(["libzip-dev"]), .brew(["libzip"])]),
    .systemLibrary(
      name: "CCkptZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .systemLibrary(name: "CCkptLinux"),
    .systemLibrary(
      name: "CCkptDeflate", pkgConfig: "libdeflate",
      providers: [.apt(["libdeflate-dev"]), .brew(["libdeflate"])]),

    // Loops over numbers, in C, compiled for several instruction sets (variants/InstructionSets.h).
    .target(
      name: "CCkptKernels", cSettings: [.headerSearchPath("."), .headerSearchPath("variants")]),

    // The rooms; each depends only on those above it.
    .target(name: "CkptPlatform", dependencies: ["CCkptLinux"], swiftSettings: settings),
    .target(name: "CkptPickle", dependencies: ["CkptPlatform"], swiftSettings: settings),
    .target(
      name: "CkptBytes", dependencies: ["CCkptZlib", "CCkptDeflate", "CkptPlatform"],
      swiftSettings: settings),
    .target(
      name: "CkptZip", dependencies: ["CCkptZip", "CkptPlatform", "CkptBytes"],
      swiftSettings: settings),
    .target(
      name: "CkptTensors", dependencies: ["CCkptKernels", "CkptPlatform"], swiftSettings: settings),
    .target(
      name: "CkptStateDicts", dependencies: ["CkptPlatform", "CkptTensors", collections],
      swiftSettings: settings),
    .target(
      name: "CkptSafetensors", dependencies: ["CkptPlatform", "CkptTensors"],
      swiftSettings: settings),
    .target(
      name: "CkptGGUF", dependencies: ["CkptPlatform", "CkptTensors"], swiftSettings: settings),
    .target(
      name: "CkptNumpy", dependencies: ["CkptPlatform", "CkptTensors"], swiftSettings: settings),
    .target(
      name: "CkptMerging",
      dependencies: ["CCkptKernels", "CkptPlatform", "CkptTensors", "CkptStateDicts", "Yams"],
      swiftSettings: settings),
    .target(
      name: "CkptIO",
      dependencies: [
        "CkptPlatform", "CkptPickle", "CkptSafetensors", "CkptGGUF", "CkptNumpy", "CkptBytes",
        "CkptZip", "CkptTensors", "CkptStateDicts",
      ],
      swiftSettings: settings),
    // Loops of the training core, in C, compiled for several instruction sets.
    .target(
      name: "CCkptTrainingKernels",
      cSettings: [.headerSearchPath("."), .headerSearchPath("../CCkptKernels/variants")]),
    .target(
      name: "TrainingCore",
      dependencies: ["CCkptTrainingKernels", "CkptPlatform", "CkptTensors", "CkptStateDicts"],
      swiftSettings: settings),
    .target(
      name: "CkptRecipes", dependencies: ["CkptPlatform", "CkptStateDicts", "Yams"],
      resources: [.embedInCode("recipes.yml")], swiftSettings: settings),
    .target(
      name: "CkptInspection",
      dependencies: [
        "CkptPlatform", "CkptTensors", "CkptStateDicts",
        .product(name: "Crypto", package: "swift-crypto"),
      ],
      swiftSettings: settings),
    .target(
      name: "ModelZoo",
      dependencies: ["CkptPlatform", "CkptTensors", "CkptStateDicts", "TrainingCore", "Yams"],
      swiftSettings: settings),
    .target(
      name: "StateDictKit",
      dependencies: [
        "CkptPlatform", "CkptPickle", "CkptTensors", "CkptStateDicts", "CkptMerging", "CkptIO",
        "CkptRecipes",
        "CkptInspection",
      ],
      swiftSettings: settings),
    .target(
      name: "CkptCommands",
      dependencies: [
        "StateDictKit", "ModelZoo", "TrainingCore", "Yams",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "CkptTool", dependencies: ["CkptCommands", "CkptPlatform"], swiftSettings: settings),

    // A program of one's own; `make interop` compares what it does with PyTorch.
    .executableTarget(
      name: "CkptFineTuningExample",
      dependencies: [
        "StateDictKit", "CkptStateDicts", "CkptTensors", "ModelZoo", "TrainingCore",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], path: "Examples/FineTuning", swiftSettings: settings),

    // A test target a room.
    .target(
      name: "CkptTestSupport", dependencies: [.product(name: "Crypto", package: "swift-crypto")],
      path: "Tests/CkptTestSupport", swiftSettings: settings),
    test("CkptPlatform"),
    test("CkptPickle"),
    test("CkptBytes", "CkptPlatform"),
    test("CkptZip", "CkptPlatform", "CkptBytes"),
    test("CkptTensors", "CkptPlatform"),
    test("CkptSafetensors", "CkptTensors", "CkptPlatform"),
    test("CkptStateDicts", "CkptTensors", "CkptPlatform"),
    test("CkptGGUF", "CkptPlatform", "CkptTensors"),
    test("CkptNumpy", "CkptPlatform", "CkptTensors"),
    test(
      "CkptMerging", "CCkptKernels", "StateDictKit", "CkptStateDicts", "CkptTensors", "CkptPlatform"
    ),
    test("CkptIO", "StateDictKit", "CkptZip", "CkptPickle"),
    test("CkptRecipes", "CkptStateDicts", "CkptTensors", "CkptPlatform"),
    test("TrainingCore", "StateDictKit", "CkptStateDicts", "CkptTensors"),
    test("CkptInspection", "CkptTensors", "CkptStateDicts", "CkptPlatform", "CkptIO"),
    test("StateDictKit"),
    test(
      "ModelZoo", "StateDictKit", "TrainingCore", "CkptStateDicts", "CkptTensors", "CkptPlatform"),
    test("CkptCommands", "StateDictKit", "CkptStateDicts", "CkptTensors"),
  ]
)

/// The tests of a room, and the other rooms that they look into.
func test(_ room: String, _ others: String...) -> Target {
  .testTarget(
    name: (room.hasPrefix("Ckpt") ? room : "Ckpt" + room) + "Tests",
    dependencies: ([room, "CkptTestSupport"] + others).map { .init(stringLiteral: $0) },
    swiftSettings: settings)
}
