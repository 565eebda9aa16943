// swift-tools-version: 6.1
import PackageDescription

/// What every target is compiled with; no unsafe flags, so that other packages can depend on this one.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The rooms that every other one may use: the system, bytes, text, patterns over keys.
let baseRooms = ["CkptPlatform", "CkptBytes", "CkptText", "CkptPatterns"]
let base = baseRooms.map { Target.Dependency.byName(name: $0) }

let collections = Target.Dependency.product(
  name: "OrderedCollections", package: "swift-collections")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "StateDictKit",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "StateDictKit", targets: ["StateDictKit"]),
    .library(name: "TrainingCore", targets: ["TrainingCore"]),
    .library(name: "ModelZoo", targets: ["ModelZoo"]),
    .library(name: "ImageData", targets: ["ImageData"]),
    .library(name: "FineTuning", targets: ["FineTuning"]),
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
      name: "CCkptBzip2", providers: [.apt(["libbz2-dev"]), .brew(["bzip2"])]),
    .systemLibrary(
      name: "CCkptLZMA", pkgConfig: "liblzma",
      providers: [.apt(["liblzma-dev"]), .brew(["xz"])]),
    .systemLibrary(
      name: "CCkptDeflate", pkgConfig: "libdeflate",
      providers: [.apt(["libdeflate-dev"]), .brew(["libdeflate"])]),
    // Of images, for ImageData alone.
    .systemLibrary(
      name: "CCkptJPEG", pkgConfig: "libjpeg",
      providers: [.apt(["libjpeg62-turbo-dev"]), .brew(["jpeg-turbo"])]),
    .systemLibrary(
      name: "CCkptPNG", pkgConfig: "libpng",
      providers: [.apt(["libpng-dev"]), .brew(["libpng"])]),
    .systemLibrary(
      name: "CCkptWebP", pkgConfig: "libwebpdemux",
      providers: [.apt(["libwebp-dev"]), .brew(["webp"])]),
    .systemLibrary(
      name: "CCkptTIFF", pkgConfig: "libtiff-4",
      providers: [.apt(["libtiff-dev"]), .brew(["libtiff"])]),

    // Loops over numbers, in C, compiled for several instruction sets (variants/InstructionSets.h).
    .target(
      name: "CCkptKernels", cSettings: [.headerSearchPath("."), .headerSearchPath("variants")]),

    // The rooms; each depends only on those above it. `base` is under everything else.
    target("CkptPlatform", ["CCkptLinux"]),
    target(
      "CkptBytes", ["CCkptZlib", "CCkptDeflate", "CCkptBzip2", "CCkptLZMA", "CkptPlatform"]),
    target("CkptText", ["CkptPlatform", "CkptBytes", "Yams"]),
    target("CkptPatterns", ["CkptPlatform", "CkptText"]),

    target("CkptPickle", base),
    target("CkptZip", base + ["CCkptZip"]),
    target("CkptTensors", base + ["CCkptKernels"]),
    target("CkptSafetensors", base + ["CkptTensors"]),
    target("CkptGGUF", base + ["CkptTensors"]),
    target("CkptNumpy", base + ["CkptTensors"]),
    target("CkptStateDicts", base + ["CkptTensors", collections]),
    target(
      "CkptIO",
      base + [
        "CkptPickle", "CkptZip", "CkptTensors", "CkptSafetensors", "CkptGGUF", "CkptNumpy",
        "CkptStateDicts",
      ]),
    target("CkptMerging", base + ["CCkptKernels", "CkptTensors", "CkptStateDicts", "Yams"]),
    target("CkptInspection", base + ["CkptTensors", "CkptStateDicts", crypto]),
    // Whether a file is safe to load, whether it is whole, and what is left of a damaged one.
    target(
      "CkptScanning",
      base + [
        "CkptPickle", "CkptTensors", "CkptSafetensors", "CkptGGUF", "CkptNumpy", "CkptIO",
      ]),
    target(
      "CkptIntegrity",
      base + [
        "CkptPickle", "CkptZip", "CkptTensors", "CkptSafetensors", "CkptGGUF", "CkptStateDicts",
        "CkptIO", "CkptInspection", crypto,
      ]),
    .target(
      name: "CkptRecipes", dependencies: base + ["CkptStateDicts", "Yams"],
      resources: [.embedInCode("recipes.yml")], swiftSettings: settings),
    target(
      "StateDictKit",
      base + [
        "CkptPickle", "CkptTensors", "CkptStateDicts", "CkptMerging", "CkptIO", "CkptRecipes",
        "CkptInspection", "CkptScanning", "CkptIntegrity",
      ]),

    // Loops of the training core, in C, compiled for several instruction sets.
    .target(
      name: "CCkptTrainingKernels",
      cSettings: [.headerSearchPath("."), .headerSearchPath("../CCkptKernels/variants")]),
    target("TrainingCore", base + ["CCkptTrainingKernels", "CkptTensors", "CkptStateDicts"]),
    target("ModelZoo", base + ["CkptTensors", "CkptStateDicts", "TrainingCore", "Yams"]),

    // Images: decoding, transforms, folders, batches; the training core can do without them.
    .target(
      name: "CCkptImages", dependencies: ["CCkptJPEG", "CCkptPNG", "CCkptWebP", "CCkptTIFF"],
      cSettings: [.headerSearchPath("."), .headerSearchPath("../CCkptKernels/variants")],
      // pkg-config names libwebpdemux alone.
      linkerSettings: [.linkedLibrary("webp")]),
    target("ImageData", ["CkptPlatform", "CCkptImages"]),

    // Training a classifier of images from a checkpoint: data, loop, evaluation, the folder of a run.
    target(
      "FineTuning",
      base + [
        "CkptTensors", "CkptStateDicts", "StateDictKit", "TrainingCore", "ModelZoo", "ImageData",
        "Yams",
      ]),

    target(
      "CkptCommands",
      base + [
        "StateDictKit", "ModelZoo", "TrainingCore", "ImageData", "FineTuning", "Yams", arguments,
      ]),
    .executableTarget(
      name: "CkptTool", dependencies: ["CkptCommands", "CkptPlatform"], swiftSettings: settings),

    // A program of one's own; `make interop` compares what it does with PyTorch.
    .executableTarget(
      name: "CkptFineTuningExample",
      dependencies: [
        "StateDictKit", "CkptStateDicts", "CkptTensors", "ModelZoo", "TrainingCore", arguments,
      ], path: "Examples/FineTuning", swiftSettings: settings),

    // Hashes of decoded and resized images; `make interop` compares them with Pillow's.
    .executableTarget(
      name: "CkptImageCheck", dependencies: ["ImageData", crypto], path: "Examples/ImageCheck",
      swiftSettings: settings),

    // Hashes of what is read from files; `make interop` compares them with the formats' own libraries'.
    .executableTarget(
      name: "CkptValueCheck",
      dependencies: base + ["CkptTensors", "CkptZip", "StateDictKit", crypto],
      path: "Examples/ValueCheck", swiftSettings: settings),

    // What the fuzzer runs; `FuzzTesting` is a package of its own, which compiles the same files.
    target(
      "CkptFuzzTargets",
      base + [
        "CkptPickle", "CkptZip", "CkptTensors", "CkptSafetensors", "CkptGGUF", "CkptNumpy",
        "CkptStateDicts", "CkptIO", "CkptMerging", "CkptInspection", "CkptScanning",
        "CkptIntegrity", "CkptRecipes", "ModelZoo", "ImageData",
      ], path: "FuzzTesting/Targets"),

    // A test target a room.
    .target(
      name: "CkptTestSupport", dependencies: [crypto],
      path: "Tests/CkptTestSupport", swiftSettings: settings),
    test("CkptPlatform"),
    test("CkptBytes"),
    test("CkptText", "Yams"),
    test("CkptPickle"),
    test("CkptZip"),
    test("CkptTensors"),
    test("CkptSafetensors", "CkptTensors"),
    test("CkptGGUF", "CkptTensors"),
    test("CkptNumpy", "CkptTensors"),
    test("CkptStateDicts", "CkptTensors"),
    test(
      "CkptIO", "StateDictKit", "CkptZip", "CkptPickle", "CkptIntegrity", "CkptScanning"),
    test("CkptMerging", "CCkptKernels", "StateDictKit", "CkptStateDicts", "CkptTensors"),
    test("CkptInspection", "CkptTensors", "CkptStateDicts", "CkptIO"),
    test("CkptScanning", "StateDictKit", "CkptIO", "CkptZip", "CkptPickle"),
    test("CkptIntegrity", "StateDictKit", "CkptIO", "CkptZip", "CkptPickle"),
    test("CkptRecipes", "CkptStateDicts", "CkptTensors"),
    test("StateDictKit"),
    test("TrainingCore", "StateDictKit", "CkptStateDicts", "CkptTensors"),
    test("ModelZoo", "StateDictKit", "TrainingCore", "CkptStateDicts", "CkptTensors"),
    test("ImageData"),
    test(
      "FineTuning", "StateDictKit", "CkptStateDicts", "CkptTensors", "TrainingCore", "ModelZoo",
      "ImageData"),
    test("CkptCommands", "StateDictKit", "CkptStateDicts", "CkptTensors"),
    .testTarget(
      name: "CkptFuzzTests", dependencies: ["CkptFuzzTargets", "CkptTestSupport"],
      swiftSettings: settings),
  ]
)

/// A room of the library.
func target(
  _ name: String, _ dependencies: [Target.Dependency], path: String? = nil
) -> Target {
  .target(name: name, dependencies: dependencies, path: path, swiftSettings: settings)
}

/// The tests of a room, and the other rooms that they look into.
func test(_ room: String, _ others: Target.Dependency...) -> Target {
  .testTarget(
    name: (room.hasPrefix("Ckpt") ? room : "Ckpt" + room) + "Tests",
    dependencies: base + (baseRooms.contains(room) ? [] : [.byName(name: room)]) + [
      "CkptTestSupport"
    ] + others,
    // What commands print; see `SnapshotTests`.
    exclude: room == "CkptCommands" ? ["Snapshots"] : [], swiftSettings: settings)
}
