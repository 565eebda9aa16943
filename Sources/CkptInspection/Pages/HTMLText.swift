internal import Foundation

/// Parts of a page in HTML that stands alone: no script, style, picture or font from anywhere else.
enum HTMLText {
  /// Text with what HTML would understand escaped, and control characters shown as such.
  static func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default:
        let isControl = scalar.value < 32 || (127..<160).contains(scalar.value)
        // Marks that turn the direction round could make a key look like another.
        let turns =
          (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
        if isControl || turns { result += "\u{FFFD}" } else { result.unicodeScalars.append(scalar) }
      }
    }
    return result
  }

  /// A number of four digits.
  static func number(_ value: Double) -> String {
    if value.isNaN { return "–" }
    if value.isInfinite { return value < 0 ? "−∞" : "∞" }
    return String(format: "%.4g", value).replacing("-", with: "−")
  }

  /// A whole number with its thousands apart.
  static func count(_ value: Int) -> String {
    var digits = String(value.magnitude)
    var groups: [String] = []
    while digits.count > 3 {
      groups.insert(String(digits.suffix(3)), at: 0)
      digits.removeLast(3)
    }
    groups.insert(digits, at: 0)
    return (value < 0 ? "−" : "") + groups.joined(separator: "\u{202F}")
  }

  /// A cell of a table that is sorted by `value`.
  static func cell(_ value: Double, _ text: String? = nil) -> String {
    "<td class=n data-v=\"\(value.isNaN ? "" : "\(value)")\">\(text ?? number(value))</td>"
  }

  /// The page's head, up to its content.
  static func head(title: String) -> String {
    """
    <!doctype html>
    <html lang=en><head><meta charset=utf-8>
    <meta name=viewport content="width=device-width, initial-scale=1">
    <meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'; \
    script-src 'unsafe-inline'">
    <title>\(escaped(title))</title>
    <style>\(style)</style></head><body>

    """
  }

  /// The page's end.
  static let foot = "<script>\(script)</script></body></html>\n"

  private static let style = """
    :root{color-scheme:light dark;--line:#d7dbe0;--soft:#6a737d;--bar:#3b6ea8;--head:#f4f6f8}
    @media(prefers-color-scheme:dark){:root{--line:#3a4048;--soft:#9aa4ae;--bar:#7fb0e6;--head:#20252b}}
    body{font:14px/1.45 system-ui,sans-serif;margin:24px auto;max-width:1500px;padding:0 20px}
    h1{font-size:20px;margin:0 0 4px}h2{font-size:15px;margin:26px 0 8px}
    p{margin:4px 0}.soft{color:var(--soft)}code,.k{font-family:ui-monospace,monospace;font-size:12.5px}
    .strip{display:flex;align-items:center;margin:5px 0}.strip>b{flex:0 0 156px;font-weight:400}
    .strip>svg{flex:1;height:26px;min-width:0}.strip>i{flex:0 0 264px;font-style:normal;text-align:right;\
    font-size:12px;color:var(--soft)}.strip a:hover rect{stroke:currentColor;stroke-width:1.5;\
    vector-effect:non-scaling-stroke}
    .groups{display:flex;margin:0 264px 0 156px;font-size:11px;color:var(--soft)}
    .groups span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;border-left:1px solid var(--line);\
    padding-left:3px;box-sizing:border-box;min-width:0}
    .scale{display:inline-block;width:64px;height:9px;margin:0 5px;vertical-align:middle;\
    background:linear-gradient(90deg,#f2e9c9,#8fc7a0,#3a93a0,#2d5a9a,#2b1f5c)}
    input{font:inherit;padding:4px 8px;width:280px;margin:4px 0 8px}
    table{border-collapse:collapse;width:100%}th,td{padding:3px 8px;border-bottom:1px solid var(--line);\
    text-align:left;vertical-align:middle}th{position:sticky;top:0;background:var(--head);cursor:pointer;\
    font-weight:600;white-space:nowrap}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
    td.k{word-break:break-all}td svg{display:block}td path{fill:var(--bar)}.bad{color:#c62828;font-weight:600}
    tr:target{outline:2px solid var(--bar)}ul{columns:2;margin:4px 0;padding-left:18px}li{break-inside:avoid}
    """

  private static let script = """
    for(const t of document.querySelectorAll('table')){const b=t.tBodies[0];
    t.tHead.querySelectorAll('th').forEach((h,i)=>h.onclick=()=>{const n=h.classList.contains('n'),\
    d=h.d=-(h.d||(n?1:-1));const v=r=>{const c=r.cells[i];return n?(c.dataset.v===''?-Infinity:+c.dataset.v):c.textContent};
    b.append(...[...b.rows].sort((p,q)=>{const x=v(p),y=v(q);return x<y?-d:x>y?d:0}))})}
    const f=document.querySelector('input');if(f)f.oninput=()=>{for(const r of document.querySelectorAll('tbody tr'))\
    r.hidden=!r.cells[0].textContent.includes(f.value)}
    """
}
