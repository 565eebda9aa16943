import CkptPatterns
import Foundation
import CkptPlatform
import CkptRecipes
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

/// Key lists that the real libraries made; see `fixtures/recipes.py`.
private struct Case: Sendable, CustomTestStringConvertible {
  let number: Int
  let recipe: String
  let from, to: [String]

  var testDescription: String { "\(number) \(recipe)" }

  static let all: [Case] = {
    guard let data = try? Data(contentsOf: URL(filePath: Fixtures.path("recipes/recipes.json"))),
      let root = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      let lists = (root["lists"] as? [String])?.map({ $0.split(separator: " ").map(String.init) }),
      let cases = root["cases"] as? [[Any]]
    else { return [] }
    return cases.enumerated().compactMap { number, item in
      guard item.count == 3, let recipe = item[0] as? String, let from = item[1] as? Int,
        let to = item[2] as? Int
      else { return nil }
      return Case(number: number, recipe: recipe, from: lists[from], to: lists[to])
    }
  }()
}

@Suite("Recipes")
struct RecipeTests {
  private func stateDict(_ keys: [String]) throws -> StateDict {
    var result = StateDict()
    let tensor = try Tensor([1] as [Float], shape: [1])
    for key in keys { result[key] = tensor }
    return result
  }

  @Test("Each makes of a checkpoint's keys those that the real library has", arguments: Case.all)
  fileprivate func cases(item: Case) throws {
    let recipe = try RecipeBook.recipe(item.recipe)
    let source = try stateDict(item.from)
    let (result, report) = try source.applying(source.steps(of: [.recipe(recipe)]))
    #expect(Set(result.keys) == Set(item.to))
    #expect(report.unmatched.isEmpty)
  }

  @Test("Each that comes with the library has a case, and says what it does")
  func complete() throws {
    let book = try RecipeBook.bundled()
    let tested = Set(Case.all.map(\.recipe))
    for recipe in book.recipes {
      #expect(tested.contains(recipe.name), "\(recipe.name)")
      #expect(!recipe.title.isEmpty && !recipe.about.isEmpty && !recipe.source.isEmpty)
      #expect(!recipe.variants.isEmpty && recipe.variants.allSatisfy { !$0.steps.isEmpty })
    }
    #expect(Set(book.recipes.map(\.name)).count == book.recipes.count)
    // The text in the program is the file's.
    let file = Fixtures.folder.deletingLastPathComponent()
      .appending(path: "Sources/CkptRecipes/recipes.yml")
    #expect(try String(contentsOf: file, encoding: .utf8) == book.text)
  }

  @Test("The one that makes a state dict fit is found")
  func suggested() throws {
    for name in [
      "torchvision-vit-to-timm", "detectron2-resnet-to-torchvision", "sequential-resnet",
    ] {
      let item = try #require(Case.all.first { $0.recipe == name })
      let reference = try stateDict(item.to)
      let found = try #require(try stateDict(item.from).suggestedRecipe(toFit: reference))
      #expect(found.recipe.name == name && found.report.isLoadable)
      #expect(try reference.suggestedRecipe(toFit: reference) == nil)
    }
  }

  @Test("One that does not fit says what it looked for")
  func misfit() throws {
    let recipe = try RecipeBook.recipe("moco")
    let error = #expect(throws: RecipeError.self) {
      try stateDict(["a", "b"]).steps(of: [.recipe(recipe)])
    }
    #expect(error?.kind == .badInput)
    #expect(error?.description.contains("encoder_q") == true)
  }

  @Test("Rules before a recipe are seen by it")
  func order() throws {
    let source = try stateDict(["x.module.a", "x.module.b"])
    let rules: [KeyRule] = [
      .step(.rename(.stripPrefix("x."))), .recipe(try RecipeBook.recipe("data-parallel")),
    ]
    #expect(try source.applying(source.steps(of: rules)).result.keys == ["a", "b"])
  }

  @Test("A person's own recipes come from a file, alone or by name")
  func own() throws {
    let folder = try TemporaryFolder()
    let single = try folder.write(
      Array("title: mine\nsteps:\n  - strip-prefix: a.\n  - exclude: [is:b, is:c]\n".utf8),
      to: "mine.yml")
    let recipe = try RecipeBook.recipe(single)
    #expect(recipe.name == "mine.yml" && recipe.title == "mine")
    let source = try stateDict(["a.x", "b", "c", "d"])
    #expect(try source.applying(source.steps(of: [.recipe(recipe)])).result.keys == ["x", "d"])
    let two = try folder.write(
      Array(
        "recipes:\n  one: {steps: [add-prefix: x.]}\n  two: {steps: [{replace: a=b}], when: is:a}\n"
          .utf8),
      to: "two.yml")
    #expect(try RecipeBook.recipe(two + "#two").name == "two")
    #expect(throws: RecipeError.several(file: two, names: ["one", "two"])) {
      try RecipeBook.recipe(two)
    }
    #expect(throws: RecipeError.unknown(two + "#six", known: ["one", "two"])) {
      try RecipeBook.recipe(two + "#six")
    }
    let unknown = #expect(throws: RecipeError.self) { try RecipeBook.recipe("mocco") }
    #expect(unknown?.kind == .usage && unknown?.hint?.contains("moco") == true)
  }

  @Test(
    "What is wrong with a file is told with its line",
    arguments: [
      ("- a\n", nil), ("a: [\n", 2), ("steps:\n  - strip-prefix: [a, b]\n", 2),
      ("steps:\n  - bogus: a\n", 2), ("steps: a\n", 1), ("title: x\n", 1),
      ("steps:\n  - include: \"re:(\"\n", 2), ("steps:\n  - replace: a\n", 2),
      ("steps: []\nbogus: 1\n", 2), ("variants: []\n", 1),
      ("steps:\n  - {include: a, exclude: b}\n", 2),
      ("\u{0}", nil), ("&a [*a]", nil), ("recipes: 3", 1), ("", nil), ("steps: [map: [a]]", nil),
    ])
  func malformed(text: String, line: Int?) throws {
    let error = #expect(throws: RecipeError.self) { try RecipeBook(yaml: text, file: "x.yml") }
    guard case .malformed("x.yml", let found, _)? = error else {
      Issue.record("another error: \(String(describing: error))")
      return
    }
    if let line { #expect(found == line) }
  }

  @Test("Aliases that multiply, and lists without end, are no trap")
  func bombs() throws {
    var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    for level in 1...30 {
      bomb +=
        "a\(level): &a\(level) ["
        + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ",") + "]\n"
    }
    #expect(
      message(of: RecipeError.self) { try RecipeBook(yaml: bomb, file: "x.yml") }
        == "has more than 1000000 values when aliases are followed (x.yml)")
    let deep = "steps: " + String(repeating: "[", count: 100_000)
    #expect(
      message(of: RecipeError.self) { try RecipeBook(yaml: deep, file: "x.yml") }
        == "nests deeper than 128 levels (x.yml, line 1)")
  }
}
