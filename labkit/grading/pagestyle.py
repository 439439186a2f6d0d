"""How a page of feedback looks: one style sheet, light and dark by what the reader's system says.

Colours are those of the kit's pictures (Okabe and Ito 2008), lighter on dark ground; they never
stand alone, for each has a sign beside it. It prints well.
"""

from typing import Final

STYLE: Final = """
:root{--ground:#f6f7f9;--card:#fff;--ink:#1d2330;--quiet:#697386;--line:#e3e7ee;--soft:#f1f4f8;
--blue:#0072b2;--green:#009e73;--red:#d55e00;--orange:#e69f00;--on:#fff;--tint:#0072b212;
--shadow:0 1px 2px #1018280d,0 4px 16px #1018280a;--mono:ui-monospace,"SF Mono",Menlo,Consolas,
"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){:root{--ground:#12151b;--card:#1a1f28;--ink:#e6eaf1;
--quiet:#96a0b2;--line:#2c3340;--soft:#222834;--blue:#5db3e6;--green:#3ccb9d;--red:#ff8f52;
--orange:#f2bb4a;--on:#12151b;--tint:#5db3e61a;--shadow:none}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,sans-serif;-webkit-text-size-adjust:100%}
main{max-width:54rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
header{display:flex;justify-content:space-between;align-items:center;gap:1.5rem}
.who{min-width:0}
.week{margin:0;color:var(--quiet);font-size:.95rem}
h1{margin:.1rem 0 .2rem;font-size:2rem;line-height:1.2;font-weight:650;letter-spacing:-.015em;
overflow-wrap:anywhere}
.file{margin:0;color:var(--quiet);font:.82rem/1.4 var(--mono);overflow-wrap:anywhere}
.ring{width:7.5rem;flex:none}
.ring circle{fill:none;stroke-width:9}
.ring .track{stroke:var(--line)}
.ring .arc{stroke-linecap:round;stroke:var(--blue)}
.ring.full .arc{stroke:var(--green)}
.ring text{text-anchor:middle;fill:var(--ink)}
.ring .big{font-size:32px;font-weight:650;letter-spacing:-.02em}
.ring .small{font-size:13px;fill:var(--quiet)}
nav{margin:1.75rem 0 1.25rem;display:grid;gap:.15rem}
nav a{display:grid;grid-template-columns:3rem 1fr 9rem 5.5rem;align-items:center;gap:.75rem;
padding:.35rem .6rem;margin:0 -.6rem;border-radius:8px;color:inherit;text-decoration:none}
nav a:hover{background:var(--soft)}
nav span:first-child,h2 span{color:var(--quiet);font-variant-numeric:tabular-nums;font-weight:400}
b{font-weight:600;font-variant-numeric:tabular-nums;white-space:nowrap}
b i{font-style:normal;font-weight:400;color:var(--quiet)}
nav b{text-align:right}
.bar{height:6px;border-radius:3px;background:var(--line);overflow:hidden;display:block}
.bar i{display:block;height:100%;background:var(--blue);border-radius:3px}
.bar.full i{background:var(--green)}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;margin:1.1rem 0;
padding:1.1rem 1.4rem 1.2rem;box-shadow:var(--shadow)}
h2{display:flex;gap:.6rem;align-items:baseline;margin:0 0 .5rem;font-size:1.15rem;font-weight:620;
letter-spacing:-.005em}
h2 b{margin-left:auto;font-size:1rem}
.part{display:flex;gap:.75rem;align-items:baseline;padding:.5rem 0;border-top:1px solid var(--line)}
.part b{margin-left:auto;font-size:.92rem}
.sign{width:1.1rem;flex:none;text-align:center;font-weight:700;color:var(--blue)}
.full .sign{color:var(--green)}
.none .sign{color:var(--red)}
.why{margin:0 0 .9rem 1.85rem}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.3rem .9rem;
margin:.15rem 0 .7rem;font-size:.95rem}
dt{color:var(--quiet);text-align:right}
dd{margin:0;overflow-wrap:anywhere}
code,pre,ol{font-family:var(--mono);font-size:.86em}
.found{color:var(--red)}
.hint{margin:.6rem 0;padding:.55rem .9rem;border-left:3px solid var(--blue);background:var(--tint);
border-radius:0 8px 8px 0}
.repairs{background:var(--tint);border-color:transparent;box-shadow:none}
.repairs p{margin:0 0 .3rem;color:var(--quiet);font-size:.93rem}
.repairs ul{margin:.2rem 0 0;padding-left:1.2rem}
.repairs li{margin:.2rem 0;overflow-wrap:anywhere}
.closed{border-left:4px solid var(--orange)}
.closed p{margin:.5rem 0 0}
figure{margin:.9rem 0 .5rem;padding:.8rem .6rem .4rem;border:1px solid var(--line);
border-radius:10px}
details{margin:.4rem 0;font-size:.93rem}
summary{cursor:pointer;color:var(--quiet)}
summary:hover{color:var(--ink)}
ol{margin:.35rem 0;padding-left:3.2rem;color:var(--ink);line-height:1.6;overflow-wrap:anywhere}
li::marker{color:var(--quiet)}
pre{background:var(--soft);padding:.7rem .9rem;border-radius:8px;white-space:pre-wrap;
overflow-wrap:anywhere;max-height:22rem;overflow:auto;margin:.4rem 0 0}
.printed{border-top:1px solid var(--line);padding-top:.6rem;margin-top:.2rem}
.more{margin:.4rem 0 0;font-size:.93rem}
a{color:var(--blue)}
footer{margin-top:1.6rem;color:var(--quiet);font-size:.88rem}
.drawing{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
.drawing text{fill:var(--ink)}
.drawing .row{fill:var(--quiet);font-size:13px}
.drawing .tick{fill:var(--quiet);font-size:11.5px;font-variant-numeric:tabular-nums}
.drawing .seq{font-size:11.5px}
.drawing .on{fill:var(--on);font-size:12px;font-weight:600}
.drawing .grid{stroke:var(--line)}
.drawing .drop{stroke:var(--quiet);stroke-dasharray:1 3}
.drawing .played{fill:var(--blue)}
.drawing .late{fill:var(--orange)}
.drawing .wrong{fill:var(--red)}
.drawing .gap{fill:none;stroke:var(--quiet);stroke-dasharray:3 3}
.drawing .wronggap{stroke:var(--red);stroke-width:2}
.drawing .field0{fill:var(--tint)}
.drawing .field1{fill:var(--soft)}
.drawing .hex{font:14px var(--mono)}
.drawing .bad{fill:var(--red);font-weight:700}
.drawing .stroke{fill:none;stroke-width:2}
.drawing .name{font-size:12.5px;font-weight:600}
.drawing .series0.fill,.drawing .series0.name{fill:var(--blue)}
.drawing .series0.stroke{stroke:var(--blue)}
.drawing .series1.fill,.drawing .series1.name{fill:var(--red)}
.drawing .series1.stroke{stroke:var(--red)}
.drawing .series2.fill,.drawing .series2.name{fill:var(--green)}
.drawing .series2.stroke{stroke:var(--green)}
.drawing .series3.fill,.drawing .series3.name{fill:var(--orange)}
.drawing .series3.stroke{stroke:var(--orange)}
@media (max-width:34rem){nav a{grid-template-columns:2.6rem 1fr 5rem}nav .bar{display:none}
.ring{width:5.5rem}h1{font-size:1.5rem}.why{margin-left:0}figure{overflow-x:auto}.drawing{min-width:36rem}.card{padding:1rem}}
@media print{body{background:#fff}.card{break-inside:avoid;box-shadow:none}main{padding:0}}
"""
