import Foundation
import ModelZoo
import CkptPlatform
import StateDictKit
import CkptStateDicts
import CkptTestSupport
import Testing
import TrainingCore

@Suite("Descriptions that are wrong or hostile are refused, with the line")
struct HostileDescriptionTests {
  /// Makes the model that is described and runs it.
  private func run(_ yaml: String) throws {
    let model = try ModelDescription(yaml: yaml, name: "tree.yml").makeModel(
      fitting: StateShapes(StateDict()), ModelOptions(), from: RandomSource(seed: 1))
    let random = RandomSource(seed: 2)
    _ = try noGrad {
      try model.module.eval()(model.randomInput(count: 2, from: random))
    }
  }

  /// The error's text; fails where there is none, or one of another kind.
  private func refusal(_ yaml: String) -> String {
    do {
      try run(yaml)
      Issue.record("was not refused: \(yaml.prefix(200))")
      return ""
    } catch let error as DescriptionError {
      return error.description
    } catch let error as ZooError {
      return error.description
    } catch {
      Issue.record("\(error)")
      return ""
    }
  }

  /// Parts of a model, and what is said of them; the parts begin at line 2.
  static let mistakes: [(model: String, says: String)] = [
    (
      "a: Linear(3, 4, biass=False)",
      "Linear has no argument biass; is bias meant? (tree.yml, line 2)"
    ),
    ("a: Linear(3)", "Linear needs its argument out_features (tree.yml, line 2)"),
    ("a: Linear(3, 4, True, 1)", "Linear takes at most 3 arguments"),
    ("a: Linear(3, 4, in_features=3)", "has its argument in_features twice"),
    ("a: Linear(3, -4)", "out_features is an integer from 1"),
    ("a: Linear(3, 4.5)", "out_features is an integer from 1"),
    ("a: Linaer(3, 4)", "no layer or block is called Linaer; is Linear meant?"),
    (
      "a: Linear(3, 4)\n  b: Linear(5, 6)",
      "b cannot be run: Linear takes 5 numbers in the last dimension, not an input of shape [2, 4] (tree.yml, line 3)"
    ),
    ("a: Linear(3, wdth)", "no size is called wdth"),
    (
      "a: Linear(3, 4\n  b: ReLU()",
      "a comma or ) should stand here (at the end) (tree.yml, line 2)"
    ),
    ("a: 4", "a layer or a block should stand here"),
    ("a:", "a layer or a block should stand here (tree.yml, line 2)"),
    ("a b: ReLU()", "\"a b\" is no name of a module"),
    ("a.b: ReLU()", "\"a.b\" is no name of a module"),
    ("a: ReLU()\n  a: ReLU()", "a key stands here twice: a"),
    ("a: Conv2d(4, 6, 3, groups=4)", "4 and 6 channels do not share 4 groups"),
    ("a: Conv2d(4, 6, (3, 3, 3))", "kernel_size is two integers from 1 to 4096"),
    ("a: Conv2d(4, 6, 3, padding_mode=reflect)", "padding_mode is always zeros here, not reflect"),
    ("a: MultiheadAttention(6, 4)", "4 heads do not share a width of 6"),
    (
      "a: MultiheadAttention(6, 2, batch_first=False)", "batch_first is always True here, not False"
    ),
    (
      "a: Linear(fc.weight[0], 4)",
      "this is no tree.yml: fc.weight: there is no such tensor (line 2)"
    ),
    ("a: Linear(7 // 0, 4)", "division by 0"),
    ("a: Linear(1099511627776 * 1099511627776, 4)", "is too large"),
    ("a: Linear(99999999999999999999, 4)", "99999999999999999999 is too large"),
    ("a: Linear([1, 2][2], 4)", "no item 2 of 2"),
    ("a: Linear(3, 4)\n  forward: a(z)", "no value is called z"),
    ("a: Linear(3, 4)\n  forward: b(x)", "no part or function is called b"),
    (
      "a: Linear(3, 4)\n  forward: a(x).falten(1)",
      "no function is called falten; is flatten meant?"
    ),
    ("a: Linear(3, 4)\n  forward: x = a(x)", "the last step is the result, and has no name"),
    ("a: Linear(3, 4)\n  forward: a(x, x)", "it takes one input, not 2"),
    ("a: Linear(3, 4)\n  forward: a.bias.weight(x)", "no part or function is called a.bias.weight"),
    (
      "a: Linear(3, 4)\n  forward: reshape(a(x), 3, 3)",
      "8 elements do not fill the shape [3, 3] (tree.yml, line 3)"
    ),
    ("a: Linear(3, 4)\n  forward: a(x)[:, 9]", "index 9 of a dimension of size 4"),
    ("a: Linear(3, 4)\n  forward: a(x).shape[5] * a(x)", "no item 5 of 2"),
    ("a: Linear(3, 4)\n  forward: a(x).shape", "the forward pass gives no tensor"),
    (
      "a: Linear(3, 4)\n  forward:\n    - p, q = chunk(a(x), 4, 1)\n    - p",
      "2 names for something else (tree.yml, line 4)"
    ),
    ("a: Linear(3, 4)\n  forward: a(x) + x", "the shapes [2, 4] and [2, 3] do not fit each other"),
    ("a: Linear(3, 4)\n  forward: iterate(b, x, 3)", "iterate takes a module first"),
    ("a: Linear(3, 4)\n  forward(x, y): a(x)", "it takes 2 inputs, not 1"),
    ("a: Linear(3, 4)\n  forward(x=3): a(x)", "a forward pass has inputs, without values"),
    ("a: Linear(3, 4)\n  forward: []", "a forward pass has steps"),
    ("a: {repeat: 3, name: same, each: Linear(3)}", "\"same\" names all alike"),
    ("a: {repeat: -1, each: ReLU}", "\"repeat\" takes a number from 0"),
    ("a: {repeat: x, each: ReLU}", "no size is called x"),
    ("a: {repeat: 3}", "what is repeated is missing"),
    ("a: Parameter(3, x)", "no size is called x"),
    ("a: Parameter(3)", "no layer tells what the model takes"),
    ("a: ReLU()", "no layer tells what the model takes; \"input\" does"),
  ]

  @Test("mistakes are named", arguments: mistakes)
  func mistake(_ each: (model: String, says: String)) {
    let text = refusal("model:\n  " + each.model)
    #expect(text.contains(each.says), "\(text)")
  }

  @Test("mistakes outside the model are named")
  func outer() {
    let model = "\nmodel:\n  a: Linear(3, 4)"
    let cases = [
      ("modle:\n  a: Linear(3, 4)", "a description has no \"modle\"; is model meant?"),
      ("", "the description has no \"model\""),
      ("- a", "the description of a model should stand here"),
      ("model: Linear(3, 4)", "Linear alone has none"),
      ("input: picture(3)" + model, "no input is called picture"),
      ("input: image(3)" + model, "image needs its argument height"),
      ("input: image(3, 100000)" + model, "an input has at most"),
      ("input: vector(3.5)" + model, "size is an integer"),
      ("classes: 7" + model, "it gives the shape [2, 4], but there are 7 classes"),
      ("classes: -7" + model, "no positive integer"),
      ("classes: fc.weight[0]" + model, "fc.weight: there is no such tensor (line 1)"),
      ("sizes:\n  a: b\n  b: 1" + model, "no size is called b"),
      ("sizes: [ 1 ]" + model, "sizes by name should stand here"),
      ("blocks:\n  Linear: ReLU()" + model, "the name Linear is taken"),
      ("blocks:\n  B(a, a): ReLU()" + model, "the parameter a stands here twice"),
      ("model:\n  a: B(1)\nblocks:\n  B(x, y): Linear(x, y)", "B needs its argument y"),
    ]
    for (yaml, says) in cases {
      let text = refusal(yaml)
      #expect(text.contains(says), "\(text)")
    }
  }

  @Test("what would be huge is refused before it is made")
  func huge() {
    let deep = String(repeating: "[", count: 5000)
    let indented = (0..<200).map { String(repeating: " ", count: $0) + "a:" }.joined(
      separator: "\n")
    let cases = [
      (String(repeating: "# comment\n", count: 40_000), "at most 256 KB"),
      ("model: " + deep, "brackets nest too deeply"),
      // Brackets that only seem to close, in quotation marks or comments.
      (String(repeating: "[\"]\", ", count: 5000), "quotation marks hold letters"),
      (String(repeating: "[a,#]\n", count: 5000), "a comment has a space before #"),
      (String(repeating: "[a, # ]\n", count: 5000), "brackets nest too deeply"),
      (String(repeating: "[a, # \u{2028}[b,\n", count: 9), "character of Unicode"),
      ("model:\n" + indented, "is indented too far"),
      ("model:\n  " + String(repeating: "- ", count: 200), "is indented too far"),
      ("a: &a [x, x]\nb: &b [*a, *a]\nmodel: *b", "anchors, aliases and tags"),
      ("model: !!python/object x", "anchors, aliases and tags"),
      ("model:\n  a: Linear(268435456, 268435456)", "too large"),
      (
        "model:\n  a: {repeat: 1000, each: B}\nblocks:\n  B: Linear(100000, 10000)",
        "elements in its parameters"
      ),
      ("model:\n  a: BatchNorm2d(200000000)", "elements in its buffers"),
      ("model:\n  a: Buffer(200000000)", "elements in its buffers"),
      ("model:\n  a: {repeat: 20001, each: ReLU}", "\"repeat\" takes a number from 0"),
      (
        "model:\n  a: {repeat: 200, each: B}\nblocks:\n  B: {repeat: 200, each: ReLU}",
        "at most 20000 modules"
      ),
      ("model:\n  a: B\nblocks:\n  B: {a: B}", "modules lie in one another more than"),
      ("model:\n  a: B\nblocks:\n  B: B", "modules lie in one another more than"),
      (
        "model:\n  a: B\nblocks:\n  B: {a: C, b: C}\n  C: {a: B, b: B}",
        "modules lie in one another more than"
      ),
      ("model:\n  a: Linear(3, " + String(repeating: "(", count: 100) + "1", "nests too deeply"),
      ("model:\n  a: Linear(3, " + String(repeating: "-", count: 100) + "1)", "nests too deeply"),
      (
        "model:\n  a: Linear(3, 1" + String(repeating: " + 1", count: 100) + ")", "nests too deeply"
      ),
      (
        "model:\n  a: Linear(3, " + String(repeating: "1 if 1 else ", count: 100) + "1)",
        "nests too deeply"
      ),
      (
        "model:\n  a: Linear(3, 4)\n  forward: x" + String(repeating: ".shape", count: 100),
        "nests too deeply"
      ),
      (
        "model:\n  a: Linear(3, " + String(repeating: "1", count: 5000) + ")",
        "longer than 4096 bytes"
      ),
    ]
    for (yaml, says) in cases {
      let text = refusal(yaml)
      #expect(text.contains(says), "\(text) for \(yaml.prefix(60))")
    }
  }

  @Test("what would compute for ever, or fill the memory, is stopped")
  func endless() {
    var nested = "model:\n  first: Linear(3, 3)\n"
    var indent = "  "
    for _ in 0..<20 {
      nested +=
        indent + "forward: \(indent == "  " ? "a(a(first(x)))" : "a(a(x))")\n" + indent + "a:\n"
      indent += "  "
    }
    nested += indent + "forward: x\n"
    let grow = (0..<30).map { _ in "    - x = cat([x, x], 1)" }.joined(separator: "\n")
    let cases = [
      (nested, "at most 200000 operations"),
      ("model:\n  a: Linear(3, 3)\n  forward: iterate(a, x, 300000)", "iterate takes a module"),
      (
        "model:\n  a:\n    b: Linear(3, 3)\n    forward: iterate(b, x, 90000)\n  forward: iterate(a, x, 9)",
        "at most 200000 operations"
      ),
      ("model:\n  a: Linear(3, 3)\n  forward:\n\(grow)\n    - x", "is too large"),
      ("model:\n  a: Conv2d(3, 64, 1)\n  b: AdaptiveAvgPool2d(4096)", "is too large"),
      ("model:\n  a: Conv2d(3, 64, 1, padding=4096)", "is too large"),
      (
        "model:\n  a: Linear(3, 3)\n  forward: a(x).unsqueeze(0).expand(999999999, 2, 3)",
        "is too large"
      ),
      (
        "model:\n  a: Linear(3, 99999)\n  forward: a(x).unsqueeze(2) * a(x).unsqueeze(1)",
        "is too large"
      ),
      (
        "model:\n  a: Linear(3, 99999)\n  forward: matmul(a(x).transpose(0, 1), a(x))",
        "is too large"
      ),
      ("model:\n  a: Linear(3, 3)\n  forward: arange(999999999999)", "is too large"),
    ]
    for (yaml, says) in cases {
      let text = refusal(yaml)
      #expect(text.contains(says), "\(text)")
    }
  }

  @Test("whatever a byte is changed to, there is a model or an error")
  func changed() throws {
    var random = SeededRandom(7)
    let characters = Array("[]{}()*&!#:,-.=\"' \n\t09azx%@/\u{7f}".utf8) + [0, 0xff, 0xe2]
    for name in ["densenet121", "mlp_mixer", "albert", "convnext"] {
      let whole = try Array(
        Data(contentsOf: URL(filePath: Fixtures.path("../Examples/models/\(name).yml"))))
      for _ in 0..<150 {
        var text = whole
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let position = Int.random(in: 0..<text.count, using: &random)
          let byte = characters[Int.random(in: 0..<characters.count, using: &random)]
          if Bool.random(using: &random) {
            text[position] = byte
          } else {
            text.insert(byte, at: position)
          }
        }
        do {
          _ = try ModelDescription(yaml: String(decoding: text, as: UTF8.self)).makeModel(
            fitting: StateShapes(StateDict()), ModelOptions(), from: RandomSource(seed: 1))
        } catch let error as any Diagnostic {
          #expect(!error.description.isEmpty)
        }
      }
    }
  }
}
