/// The CSS rules for the parts of these pages: heat strips, their scales, and the filter field.
enum PageStyle {
  /// The rules.
  static let rules = """
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
    td svg{display:block}td path{fill:var(--bar)}
    tr:target{outline:2px solid var(--bar)}ul{columns:2;margin:4px 0;padding-left:18px}li{break-inside:avoid}
    """
}
