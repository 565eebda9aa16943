internal import ArgumentParser
internal import StateDictKit

struct RecipesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipes",
    abstract: "List the named key rules of --recipe, or explain some of them.")

  @Argument(help: "Recipes to explain: names, files, FILE#NAME. Without any, all are listed.")
  var names: [String] = []

  @Flag(help: "Print the recipes that come with ckpt as they are written, to begin one's own from.")
  var yaml = false

  @OptionGroup var common: CommonOptions

  private struct Listing: Encodable {
    struct Variant: Encodable {
      let when, steps: [String]
    }
    let name, title, about, source: String
    let variants: [Variant]

    init(_ recipe: Recipe) {
      name = recipe.name
      title = recipe.title
      about = recipe.about
      source = recipe.source
      variants = recipe.variants.map { .init(when: $0.when.map(\.written), steps: $0.written) }
    }
  }

  func run() throws {
    let bundled = try RecipeBook.bundled()
    if yaml { return printDocument(bundled.text, terminator: "") }
    let recipes = try names.isEmpty ? bundled.recipes : names.map { try RecipeBook.recipe($0) }
    if common.json { return try printJSON(recipes.map(Listing.init)) }
    if names.isEmpty {
      return Table.print(recipes.map { [$0.name, Messages.line($0.title)] })
    }
    for (number, recipe) in recipes.enumerated() {
      if number > 0 { print("") }
      print("\(Messages.line(recipe.name)): \(Messages.line(recipe.title))")
      if !recipe.about.isEmpty { print("  " + Messages.line(recipe.about)) }
      if !recipe.source.isEmpty { print("  from: " + Messages.line(recipe.source)) }
      for variant in recipe.variants {
        if !variant.when.isEmpty {
          print("  if a key matches " + variant.when.map(\.written).joined(separator: ", and one "))
        }
        for step in variant.written { print("    " + Messages.line(step)) }
      }
    }
  }
}
