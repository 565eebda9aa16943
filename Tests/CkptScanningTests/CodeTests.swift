import CkptTestSupport
import Testing

@testable import CkptScanning

@Suite("Templates and TorchScript")
struct CodeTests {
  @Test(
    "A template that leaves the sandbox is named",
    arguments: [
      "{{ ''.__class__ }}", "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
      "{{ x['__globals__'] }}", "{{ x|attr('a') }}",
      "{{ cycler.__init__.__globals__.os.popen('x') }}",
      "{{ x[\"\\x5f\\x5fclass\\x5f\\x5f\"] }}", "{%- set a = b.mro() -%}", "{{ os.system('x') }}",
      "text {{ '}}' + ''.__class__ }}", "{{ joiner.f_globals }}",
    ])
  func leaving(template: String) {
    #expect(ChatTemplate.reaches(of: template).contains { $0.rating == .dangerous })
  }

  @Test(
    "Templates that models have are not",
    arguments: [
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m.content | trim }}{% endfor %}",
      "{{ bos_token }}{%- set ns = namespace(found=false) -%}{{ tools | tojson(indent=4) }}",
      "{{ raise_exception('only system and user') }} __class__ outside of braces; macos.",
      "{{ strftime_now('%d %b') }}{% if loop.index0 % 2 == 0 %}{{ '__TOOLS__' }}{% endif %}",
    ])
  func staying(template: String) {
    #expect(!ChatTemplate.reaches(of: template).contains { $0.rating == .dangerous })
  }

  @Test("Operators that reach files or processes are named")
  func operators() {
    let code = """
      def forward(self: __torch__.M, x: Tensor) -> Tensor:
        torch.save(x, "p")
        y = torch.from_file("q", False, 4)
        z = ops.prim.rpc_sync("w", "f", annotate(List[int], []))
        w = ops.my_library.run(z)
        return torch.add(x, ops.quantized.linear(y))
      """
    let found = TorchScriptCode.operators(in: Array(code.utf8))
    #expect(
      found.map(\.name) == ["aten::save", "aten::from_file", "prim::rpc_sync", "my_library::run"])
    #expect(found.map(\.rating) == [.dangerous, .dangerous, .dangerous, .unknown])
    #expect(TorchScriptCode.operators(named: Array("\u{1}aten::save\u{0}".utf8)).count == 1)
  }
}
