internal import CheckpointCommands
internal import Foundation

exit(CommandLineTool.run(Array(CommandLine.arguments.dropFirst())))
