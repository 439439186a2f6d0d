"""How the class report looks, on top of the feedback pages' style: one family."""

from typing import Final

from labkit.grading.pagestyle import STYLE

CLASS_STYLE: Final = (
    STYLE
    + """
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.9rem;
margin:1.6rem 0 1.1rem}
.tile{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:.9rem 1.1rem;
box-shadow:var(--shadow)}
.tile b{display:block;font-size:1.75rem;line-height:1.2;letter-spacing:-.02em}
.tile b i{font-size:1rem}
.tile span{color:var(--quiet);font-size:.88rem}
svg.plot{display:block;width:100%;height:auto;overflow:visible}
svg.plot text{fill:var(--quiet);font-size:12px;font-variant-numeric:tabular-nums}
svg.plot text.value{fill:var(--ink);paint-order:stroke;stroke:var(--card);stroke-width:4px;
stroke-linejoin:round}
svg.plot rect{fill:var(--blue)}
svg.plot rect.late{fill:var(--orange)}
svg.plot line{stroke:var(--line)}
svg.plot line.middle{stroke:var(--orange);stroke-width:2;stroke-dasharray:3 4}
svg.plot text.middle{fill:var(--orange);font-weight:600}
h2 .note{margin-left:auto;font-size:.88rem}
.worst{list-style:none;margin:0;padding:0}
.worst li{display:grid;grid-template-columns:3.6rem minmax(0,1fr);gap:1rem;align-items:start;
padding:.75rem 0;border-top:1px solid var(--line)}
.worst li:first-child{border-top:0;padding-top:.2rem}
.worst .big{font-size:1.4rem;line-height:1.2;text-align:right;letter-spacing:-.02em}
.worst .big small{display:block;font-size:.75rem;font-weight:400;color:var(--quiet);
letter-spacing:0}
.worst p{margin:0}
.worst .what,.people{color:var(--quiet);font-size:.88rem}
.row{display:grid;grid-template-columns:minmax(0,1fr) 13rem 4.6rem;gap:1rem;align-items:center;
padding:.45rem 0;border-top:1px solid var(--line)}
.row>span:last-child{text-align:right;font-variant-numeric:tabular-nums;font-size:.92rem}
.split{display:flex;gap:2px;height:10px}
.split i{display:block;height:100%;min-width:2px;border-radius:2px}
.split .f{background:var(--green)}.split .s{background:var(--blue);opacity:.65}
.split .n{background:var(--red)}
details.hints{margin:0 0 .5rem}
details.hints summary{color:var(--quiet);font-size:.88rem;cursor:pointer}
.miss{display:grid;grid-template-columns:2.2rem minmax(0,1fr);gap:.7rem;
padding:.25rem 0 .25rem .8rem;font-size:.92rem}
.miss p{margin:0}
.miss .what{color:var(--quiet);font-size:.85rem}
.miss b{text-align:right}
.miss code{font:.8rem var(--mono);color:var(--quiet)}
.key{display:flex;gap:1.2rem;color:var(--quiet);font-size:.85rem;margin:.2rem 0 .6rem;
flex-wrap:wrap}
.key i{display:inline-block;width:.7rem;height:.7rem;border-radius:2px;margin-right:.4rem}
.key .f{background:var(--green)}.key .s{background:var(--blue);opacity:.65}
.key .n{background:var(--red)}
.names{margin:.2rem 0;overflow-wrap:anywhere}
.quiet{color:var(--quiet);font-size:.9rem}
p code,li code{font:.86em var(--mono)}
.scroll{overflow-x:auto}
@media (max-width:40rem){svg.plot{min-width:34rem}
.row{grid-template-columns:minmax(0,1fr) 4.6rem}
.row .split{grid-row:2;grid-column:1/3}}
.worst .what b{font-weight:400;white-space:normal}
@media print{details.hints>*{display:block}}
"""
)
