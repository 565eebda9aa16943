/// The CSS of the sections of a run's report; other rules are those of all HTML pages.
enum ReportStyle {
  /// The CSS rules.
  static let rules = """
    :root{--c0:#2f6fb3;--c1:#d9731a;--c2:#2a8f6a;--c3:#a04bb0;--c4:#b8860b;--c5:#c2385a;
    --right:47 111 179;\
    --wrong:214 96 40}
    @media(prefers-color-scheme:dark){:root{--c0:#6cabec;--c1:#f2a25a;--c2:#5fc7a0;--c3:#cf8fdc;
    --c4:#d9b44a;\
    --c5:#ee7f9a}}
    body{max-width:1180px;overflow-wrap:anywhere}@media(max-width:560px){body{padding:0 12px;
    margin:16px auto}}
    dl{display:flex;flex-wrap:wrap;gap:8px;margin:12px 0}
    dl div{flex:0 1 auto;background:var(--head);border-radius:6px;padding:7px 12px}
    dt{color:var(--soft);font-size:12px}
    dd{margin:0;font-weight:600}
    .charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));
    gap:14px 24px}
    figure{margin:0}.charts svg{display:block;width:100%;height:auto;font:11px system-ui,sans-serif}
    .charts h3{font-size:13px;margin:0 0 4px}.charts text{fill:var(--soft)}
    .grid{stroke:var(--line);fill:none}
    .axis{stroke:var(--soft);fill:none}.best{stroke:var(--soft);stroke-dasharray:3 3;fill:none}
    .curve{fill:none;stroke-width:2;stroke-linejoin:round}.dot{stroke:none}
    .charts figcaption{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:12.5px;padding-left:8px}
    .swatch{display:inline-block;width:16px;height:3px;border-radius:2px;vertical-align:middle;
    margin-right:5px}
    .scroll table:not(.plain) td:not(.n){min-width:92px}
    details{margin-top:12px}summary{cursor:pointer;color:var(--soft)}.scroll{overflow-x:auto}
    .confusion{width:auto;border-collapse:separate;border-spacing:2px}
    .confusion td,.confusion th{border:0;padding:0 3px;font-weight:400;background:none}
    .confusion td{min-width:28px;height:30px;text-align:center;font-variant-numeric:tabular-nums;
    border-radius:3px;\
    background:var(--head)}
    .confusion thead td{background:none}
    .confusion td.right{background:rgb(var(--right)/var(--s))}
    .confusion td.wrong{background:rgb(var(--wrong)/var(--s))}
    .confusion td.dark{color:#fff}.confusion .name{display:block;max-width:150px;overflow:hidden;\
    text-overflow:ellipsis;white-space:nowrap}
    .confusion thead th{vertical-align:bottom}.confusion thead .name{writing-mode:vertical-rl;\
    transform:rotate(180deg);max-width:none;max-height:130px;margin:0 auto}
    .confusion tbody th{position:sticky;left:0;background:Canvas;text-align:right;z-index:1}
    .share{display:inline-block;min-width:84px;padding:0 4px;border-radius:3px;\
    background:linear-gradient(90deg,rgb(var(--right)/.3) var(--p),transparent 0)}
    @media(max-width:560px){.confusion .name{max-width:88px}.share{min-width:58px}}
    .mistakes{display:grid;grid-template-columns:repeat(auto-fill,minmax(144px,1fr));gap:14px 12px}
    .mistakes figcaption{font-size:12.5px;line-height:1.35;margin-top:4px}
    .picture{display:flex;align-items:center;justify-content:center;aspect-ratio:1;
    background:var(--head);\
    border-radius:6px;overflow:hidden}.picture img{width:100%;height:100%;object-fit:contain}
    .gone{background:#8885;color:var(--soft);font-size:12px;text-align:center;padding:8px;
    box-sizing:border-box}
    .small img{image-rendering:pixelated}
    .arguments{width:auto}.arguments th{background:none;font-weight:400;color:var(--soft)}
    """
}
