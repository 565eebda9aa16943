internal import CLibFuzzer
internal import FuzzTargets
internal import Foundation

// ckpt-fuzz TARGET [libFuzzer's options] FOLDER…
// ckpt-fuzz --list

nonisolated(unsafe) var target = FuzzTarget.all[0]
nonisolated(unsafe) var mutator: Mutator?
nonisolated(unsafe) let folder = try FuzzFolder()

var arguments = CommandLine.arguments
if arguments.count == 2, arguments[1] == "--list" {
  for target in FuzzTarget.all { print(target.name) }
  exit(0)
}
guard arguments.count >= 2, let named = FuzzTarget.named(arguments[1]) else {
  print("usage: ckpt-fuzz TARGET [libFuzzer's options] FOLDER…; ckpt-fuzz --list")
  exit(64)
}
target = named
mutator = Mutator.of(target: named.name)
arguments.remove(at: 1)

var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
var count = Int32(arguments.count)
atexit { folder.remove() }
let status = pointers.withUnsafeMutableBufferPointer { pointers in
  var start = pointers.baseAddress
  return LLVMFuzzerRunDriver(&count, &start) { data, size in
    target.run(Array(UnsafeBufferPointer(start: data, count: size)), in: folder)
    return 0
  }
}
exit(status)
