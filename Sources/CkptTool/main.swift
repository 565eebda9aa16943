internal import CkptCommands
internal import Foundation
internal import CkptPlatform

ProcessStart.prepare(interrupted: 130)
// libzip converts every record's date to local time, for which glibc checks the time zone's file
// each time unless it is set. The dates are not used.
setenv("TZ", "UTC", 0)
Allocator.returnsLargeBlocks()
exit(CommandLineTool.runProcess())
