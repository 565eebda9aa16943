package import CkptPlatform
internal import Foundation
package import Yams

/// Reads YAML from untrusted sources. Texts that are too large, nested too deeply, or that grow too
/// much when aliases are expanded are rejected, so that code that processes the nodes may be
/// recursive.
///
/// The limits are the same for all texts, except for the size:
/// - 128 levels of nesting, with aliases expanded (``depthLimit``); the parser's own limit is 1000.
/// - 1000 anchors and aliases together (``referenceLimit``).
/// - If there are aliases: a million nodes when all of them are expanded (``nodeLimit``), and no
///   key that is an alias or a collection, because the parser would expand it for comparison.
/// - The number of bytes, see ``Size``.
///
/// Merge keys and other features of YAML 1.1 and PyYAML are left to the caller.
package enum BoundedYAML {
  /// The maximum size of a text in bytes.
  package enum Size: Int, Sendable {
    /// A text written by hand for one use, such as a model description or a merge recipe.
    case document = 262_144
    /// A collection of recipes.
    case book = 4_194_304
    /// A map of names, possibly generated; JSON is accepted, too, since such a map is also valid
    /// YAML.
    case map = 67_108_864

    /// The size as text for error messages.
    package var text: String {
      rawValue < 1 << 20 ? "\(rawValue >> 10) KB" : "\(rawValue >> 20) MB"
    }
  }

  /// An error in a YAML text, with its line.
  package struct Failure: Error {
    /// What is wrong.
    package let problem: String
    /// The line number, from 1; nil if it is unknown.
    package let line: Int?
  }

  /// The maximum nesting depth, with aliases expanded.
  package static let depthLimit = 128
  /// The maximum number of anchors and aliases.
  package static let referenceLimit = 1000
  /// The maximum number of nodes when all aliases are expanded.
  package static let nodeLimit = 1_000_000

  /// Parses a text with one document and returns its root; nil if it is empty.
  ///
  /// - Throws: ``Failure`` for invalid YAML, and for texts that exceed a limit.
  package static func root(of text: String, _ size: Size) throws(Failure) -> Node? {
    guard text.utf8.count <= size.rawValue else {
      throw Failure(problem: "has more than \(size.text)", line: nil)
    }
    let references = try YAMLReferences.count(in: Array(text.utf8))
    return try onDeepStack { () throws(Failure) in
      let root: Node?
      do {
        root = try Yams.compose(yaml: text)
      } catch let error as YamlError {
        throw Failure(error)
      } catch {
        throw Failure(problem: "is not YAML", line: nil)
      }
      if let root { try check(root, hasReferences: references > 0) }
      return root
    }
  }

  /// Calls `body` on a thread with a stack that is large enough for the parser, which recurses up
  /// to 1000 levels, and waits for it. Other threads have 512 KB on macOS, and a debug build
  /// needs over 1 MB.
  private static func onDeepStack(
    _ body: @escaping @Sendable () throws(Failure) -> sending Node?
  ) throws(Failure) -> Node? {
    final class Box: @unchecked Sendable {
      var result = Result<Node?, Failure>.success(nil)
    }
    let box = Box()
    do {
      try SystemThread(stackSize: 4 << 20) { box.result = Result(catching: body) }.join()
    } catch {
      throw Failure(problem: "cannot be read: \(error)", line: nil)
    }
    return try box.result.get()
  }

  /// Reads the text of a file.
  ///
  /// - Throws: ``Failure`` for a file that is too large or not UTF-8; `FileError`.
  package static func text(of file: File, _ size: Size) throws -> String {
    guard file.size <= size.rawValue else {
      throw Failure(problem: "has more than \(size.text)", line: nil)
    }
    let bytes = try file.bytes(at: 0, count: file.size)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(problem: "is no text", line: nil)
    }
    return text
  }

  // MARK: - Bounds

  fileprivate static let nestsTooDeep = "nests deeper than \(depthLimit) levels"

  /// Checks the limits for all nodes, with aliases expanded, without recursion.
  private static func check(_ root: Node, hasReferences: Bool) throws(Failure) {
    var open: [(node: Node, depth: Int)] = [(root, 0)]
    var count = 0
    while let (node, depth) = open.popLast() {
      count += 1
      guard !hasReferences || count <= nodeLimit else {
        throw Failure(
          problem: "has more than \(nodeLimit) values when aliases are followed", line: nil)
      }
      guard depth <= depthLimit else {
        throw Failure(problem: nestsTooDeep, line: node.mark?.line)
      }
      switch node {
      case .scalar: break
      case .alias(let alias):
        throw Failure(problem: "has an alias without its anchor", line: alias.mark?.line)
      case .sequence(let items): for item in items { open.append((item, depth + 1)) }
      case .mapping(let pairs):
        for (key, value) in pairs {
          open.append((key, depth + 1))
          open.append((value, depth + 1))
        }
      }
    }
  }
}

extension BoundedYAML.Failure {
  fileprivate init(_ error: YamlError) {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      self.init(
        problem: problem.hasPrefix("Maximum nesting level")
          ? BoundedYAML.nestsTooDeep : "is not YAML: \(problem)", line: mark.line)
    case .duplicatedKeysInMapping(let keys, let context):
      let names = Set(keys).sorted().joined(separator: ", ")
      self.init(problem: "a key stands here twice: \(names)", line: context.mark.line)
    default: self.init(problem: "is not YAML", line: nil)
    }
  }
}
