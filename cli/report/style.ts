// The style sheet of the page, light and dark, on screens and on paper.
import { Markup } from "./markup.ts";

export const STYLE: Markup = new Markup(`
:root{--back:#fff;--text:#1c2024;--soft:#5c636b;--rule:#d5d9dd;--idle:#2f6fb3;--busy:#1d7f4f;--death:#c02626;--away:#f2b8b5;--stalled:#f5d998;--frozen:#cfd3d8;--panel:#f5f6f8}
@media (prefers-color-scheme:dark){:root{--back:#14171a;--text:#e4e7ea;--soft:#a0a8b0;--rule:#363c43;--idle:#6aa9ea;--busy:#55c28c;--death:#ff7b72;--away:#6e2f2d;--stalled:#6b5416;--frozen:#454b52;--panel:#1d2125}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:75rem;padding:1rem;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;line-height:1.2;overflow-wrap:anywhere}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem;margin:1rem 0 .25rem;overflow-wrap:anywhere}
p,li,td{overflow-wrap:anywhere}
footer,small,#zone{color:var(--soft)}
a{color:inherit}
:focus-visible{outline:3px solid var(--idle);outline-offset:2px}
dl{display:flex;flex-wrap:wrap;gap:.5rem;margin:0}
dl div{background:var(--panel);border-radius:.5rem;padding:.5rem .75rem;flex:1 1 8rem;display:flex;flex-direction:column-reverse}
dt{color:var(--soft);font-size:.875rem}dd{margin:0;font-size:1.25rem;font-weight:600}.bad{color:var(--death)}
.wide{overflow-x:auto}
table{border-collapse:collapse;margin:1rem 0}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--rule);font-weight:normal}
thead th{color:var(--soft)}tbody th{font-weight:600}
pre{background:var(--panel);border-radius:.5rem;padding:.75rem;overflow-x:auto;position:relative}
pre button{position:absolute;top:.5rem;right:.5rem;font:inherit;color:inherit;background:var(--back);border:1px solid var(--rule);border-radius:.25rem;cursor:pointer}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;padding:0;color:var(--soft);font-size:.875rem}
.legend svg{width:1.5rem;height:1rem;margin-right:.35rem;vertical-align:-.15rem}
.row{display:grid;grid-template-columns:11rem 1fr;align-items:center;column-gap:.5rem}
.name{font-size:.875rem;white-space:nowrap}.name small{margin-left:.35rem}
.bar{display:block;position:relative;width:100%;height:1.25rem}
svg.bar{border-bottom:1px solid var(--rule)}
.marks a{position:absolute;top:.1rem;width:.7rem;height:1rem;margin-left:-.35rem;border-radius:.2rem;background:var(--death);opacity:.75}
.marks a:hover,.marks a:focus{opacity:1;z-index:1}
path{fill:none;vector-effect:non-scaling-stroke}
.idle{stroke:var(--idle);stroke-width:3}.busy{stroke:var(--busy);stroke-width:8}.death{stroke:var(--death);stroke-width:2}
.deaths{fill:var(--death)}.limit{stroke:var(--soft);stroke-width:1;stroke-dasharray:4 3}
.away{fill:var(--away)}.stalled{fill:var(--stalled)}.frozen{fill:var(--frozen)}
.lines{position:relative}.bands{position:absolute;z-index:-1;top:0;bottom:1.5rem;left:11.5rem;width:calc(100% - 11.5rem);height:calc(100% - 1.5rem)}
.axis,.limits{position:relative;height:1.5rem;font-size:.75rem;color:var(--soft)}
.axis span,.limits span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.limits{height:3.6em}.limits:empty{display:none}
.histogram{padding:0 1rem}.histogram svg{display:block;width:100%;height:8rem;border-bottom:1px solid var(--rule)}
.moments{list-style:none;padding:0}.moments li{border-top:1px solid var(--rule)}.moments li:target{background:var(--panel)}
.moments p{margin:.25rem 0 .75rem;padding-left:.75rem;border-left:.25rem solid var(--rule)}.moments .likely{border-color:var(--death)}.moments .possible{border-color:var(--stalled)}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.band{stroke:none}
@media (max-width:40rem){.bands{left:0;width:100%}.wide table{min-width:34rem}.row{grid-template-columns:1fr}.name:empty{display:none}.axis span:first-child:last-child{left:50%}}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
@media print{:root{color-scheme:light;--back:#fff;--text:#000;--soft:#333;--panel:#fff}body{max-width:none;padding:0;font-size:10pt}li,.row,table tr{break-inside:avoid}pre button{display:none}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`);
