internal import CkptCommands
internal import Foundation
internal import CkptPlatform

// libzip turns every record's date into local time, for which glibc looks at the time zone's file each
// time unless it is set. No date matters here.
setenv("TZ", "UTC", 0)
Allocator.returnsLargeBlocks()
exit(CommandLineTool.run(Array(CommandLine.arguments.dropFirst())))
