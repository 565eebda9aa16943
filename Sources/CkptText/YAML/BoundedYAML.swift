package import CkptPlatform
internal import Dispatch
internal import Foundation
package import Yams

/// Reads YAML within bounds, whoever wrote it: what is too large, nests too deep or would grow without end when its
/// aliases are followed is refused, so that whatever walks over the nodes may call itself for each level.
///
/// The bounds are the same for all texts, but for their size:
/// - 128 levels of nesting, aliases followed (``depthLimit``); the parser itself goes no deeper than 1000;
/// - 1000 anchors and aliases together (``referenceLimit``);
/// - where there are aliases, a million nodes when all of them are followed (``nodeLimit``), and no key that is an
///   alias or a collection, which the parser would follow by itself to compare it;
/// - bytes as ``Size`` says.
///
/// What YAML 1.1 and PyYAML mean by merge keys and the like is left to whoever reads the nodes.
package enum BoundedYAML {
  /// How large a text may be.
  package enum Size: Int, Sendable {
    /// What a person writes for one use: the description of a model, a recipe for a merge.
    case document = 262_144
    /// A collection of recipes.
    case book = 4_194_304
    /// A map of names, which a program may have written; JSON is YAML as far as such a map goes.
    case map = 67_108_864

    /// The size for people.
    package var text: String {
      rawValue < 1 << 20 ? "\(rawValue >> 10) KB" : "\(rawValue >> 20) MB"
    }
  }

  /// What is wrong with a text, and where.
  package struct Failure: Error {
    /// What is wrong.
    package let problem: String
    /// The line, counted from 1, if it is known.
    package let line: Int?
  }

  /// How deep nodes nest at most, aliases followed.
  package static let depthLimit = 128
  /// How many anchors and aliases a text has at most.
  package static let referenceLimit = 1000
  /// How many nodes there are at most when all aliases are followed.
  package static let nodeLimit = 1_000_000

  /// The root of the only document in `text`; nil if it is empty.
  ///
  /// - Throws: ``Failure`` for what is no YAML, and for what is out of bounds.
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

  /// Calls `body` on a thread whose stack is large enough for the parser, which calls itself for each of up to 1000
  /// levels, and waits for it: threads of Dispatch have 512 KB on a Mac, and a debug build needs over 1 MB.
  private static func onDeepStack(
    _ body: @escaping @Sendable () throws(Failure) -> sending Node?
  ) throws(Failure) -> Node? {
    final class Box: @unchecked Sendable {
      var result = Result<Node?, Failure>.success(nil)
    }
    let (box, isDone) = (Box(), DispatchSemaphore(value: 0))
    let thread = Thread {
      box.result = Result(catching: body)
      isDone.signal()
    }
    thread.stackSize = 4 << 20
    thread.start()
    // Ordered behind what the thread wrote.
    isDone.wait()
    return try box.result.get()
  }

  /// The text of a file.
  ///
  /// - Throws: ``Failure`` for a file that is too large or no UTF-8; `FileError`.
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

  /// Goes over all nodes, aliases followed, without calling itself.
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
