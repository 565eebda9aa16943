/// A self-contained HTML page, which loads no script, style, picture, or font from elsewhere.
package enum HTMLPage {
  /// The start of the page, up to its content.
  ///
  /// - Parameters:
  ///   - title: the title, which is escaped here.
  ///   - style: CSS rules in addition to those of all pages.
  package static func head(title: String, style: String) -> String {
    """
    <!doctype html>
    <html lang=en><head><meta charset=utf-8>
    <meta name=viewport content="width=device-width, initial-scale=1">
    <meta http-equiv=Content-Security-Policy content="default-src 'none'; style-src 'unsafe-inline'; \
    script-src '\(scriptDigest)'; img-src data:; base-uri 'none'; form-action 'none'">
    <title>\(HTMLText.escaped(title))</title>
    <style>\(sharedStyle)\n\(style)</style></head><body>

    """
  }

  /// The end of the page. Its script sorts a table, unless it is marked as plain, by the column
  /// whose heading is clicked, and hides the rows whose first cell does not contain the text in the
  /// page's only input field.
  package static let foot = "<script>\(script)</script></body></html>\n"

  private static let sharedStyle = """
    :root{color-scheme:light dark;--line:#d7dbe0;--soft:#6a737d;--bar:#3b6ea8;--head:#f4f6f8}
    @media(prefers-color-scheme:dark){:root{--line:#3a4048;--soft:#9aa4ae;--bar:#7fb0e6;--head:#20252b}}
    body{font:14px/1.45 system-ui,sans-serif;margin:24px auto;max-width:1500px;padding:0 20px}
    h1{font-size:20px;margin:0 0 4px}h2{font-size:15px;margin:26px 0 8px}
    p{margin:4px 0}.soft{color:var(--soft)}code,.k{font-family:ui-monospace,monospace;font-size:12.5px}
    table{border-collapse:collapse;width:100%}th,td{padding:3px 8px;border-bottom:1px solid var(--line);\
    text-align:left;vertical-align:middle}th{position:sticky;top:0;background:var(--head);cursor:pointer;\
    font-weight:600;white-space:nowrap}.plain th{position:static;cursor:auto}\
    td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
    td.k{word-break:break-all}.bad{color:#c62828;font-weight:600}
    """

  /// The digest of ``script``: the only script that a browser runs in the page, whatever the texts in
  /// it say.
  private static let scriptDigest = "sha256-sIinOPqiUX5NuLniYYzgE1YjQV5aSyeeqZvc2kjP0eg="

  private static let script = """
    for(const t of document.querySelectorAll('table:not(.plain)')){const b=t.tBodies[0];
    t.tHead.querySelectorAll('th').forEach((h,i)=>h.onclick=()=>{const n=h.classList.contains('n'),\
    d=h.d=-(h.d||(n?1:-1));const v=r=>{const c=r.cells[i];return n?(c.dataset.v===''?-Infinity:+c.dataset.v):c.textContent};
    b.append(...[...b.rows].sort((p,q)=>{const x=v(p),y=v(q);return x<y?-d:x>y?d:0}))})}
    const f=document.querySelector('input');if(f)f.oninput=()=>{for(const r of document.querySelectorAll('tbody tr'))\
    r.hidden=!r.cells[0].textContent.includes(f.value)}
    """
}
