// Draws the life lines of a server: when each of its connections was open, and when it ended.
import { count, duration } from "../../pool/connection/quantities.ts";
import { causeOf } from "./causes.ts";
import type { Life, Line } from "./lines.ts";
import { type Markup, markup } from "./markup.ts";
import { deathsOf, type Moment } from "./moments.ts";
import type { Night, Server, Span } from "./night.ts";
import { time, type TimeScale, WIDTH } from "./time_scale.ts";

/** How near two marks may be before they are drawn as one, in units of the drawing. */
const NEAR = 0.5;
/** How many moments have a mark of their own, which the keyboard reaches. */
const MOST_MARKS = 100;

/** What each drawing means. */
const LEGEND = [
  ["open, idle", markup`<path class="idle" d="M0 10H30"/>`],
  ["open, busy", markup`<path class="busy" d="M0 10H30"/>`],
  ["ended", markup`<path class="death" d="M15 1V19"/>`],
  ...[
    ["away", "server away"],
    ["stalled", "server stalled"],
    ["frozen", "watch frozen"],
  ].map(([kind, text]) =>
    [
      text,
      markup`<path class="band ${kind}" d="M0 0H30V20H0Z"/>`,
    ] as const
  ),
] as const;

/** What the colors mean. */
export const legend = (): Markup =>
  markup`<ul class="legend">${
    LEGEND.map(([text, drawing]) =>
      markup`<li><svg viewBox="0 0 30 20" aria-hidden="true">${drawing}</svg>${text}</li>`
    )
  }</ul>
`;

/** The life lines of one server. */
export function lifeLines(
  server: Server,
  night: Night,
  scale: TimeScale,
): Markup {
  const moments = night.moments.all.filter(({ node }) => node === server.node);
  return markup`<div class="lines">
<svg class="bands" aria-hidden="true" viewBox="0 0 ${WIDTH} 20" preserveAspectRatio="none">${
    bands("away", server.aways, scale)
  }${bands("stalled", server.stalls, scale)}${
    bands("frozen", night.freezes, scale)
  }</svg>
<div class="row marks"><span class="name">ended</span><span class="bar">${
    moments.slice(-MOST_MARKS).map((moment) => mark(moment, scale))
  }</span></div>
${server.lines.all.map((line) => row(line, scale))}
<div class="row"><span class="name"></span>${scale.axis}</div>
</div>
`;
}

/** A link from the place of a moment to its description. */
function mark(moment: Moment, scale: TimeScale): Markup {
  const { id, from, to, times, kinds } = moment;
  const what = `${count(deathsOf(moment), "connection")} ended: ${
    kinds.map(causeOf).join(", ")
  }`;
  const width = Math.round((scale.x(to) - scale.x(from)) * 1000 / WIDTH) / 10;
  return markup`<a href="#m${id}" style="left:${scale.percent(from)}${
    times > 1 ? `;width:max(.7rem,${width}%)` : ""
  }" title="${what}"><span class="hidden">${time(from)}: ${what}</span></a>`;
}

function row(line: Line, scale: TimeScale): Markup {
  const { slot, role, lives } = line;
  return markup`<div class="row"><span class="name">${slot} ${role} <small>${
    rhythmOf(line)
  }</small></span><svg class="bar" role="img" aria-label="${
    textOf(line)
  }" viewBox="0 0 ${WIDTH} 20" preserveAspectRatio="none"><path class="${role}" d="${
    openPath(lives, scale)
  }"/><path class="death" d="${deathPath(lives, scale)}"/></svg></div>
`;
}

const rhythmOf = ({ role, usedEveryMs }: Line): string =>
  role === "busy"
    ? `every ${duration(usedEveryMs ?? 0)}`
    : usedEveryMs === null
    ? "never used"
    : `used every ${duration(usedEveryMs)}`;

/** A line in words. */
function textOf(line: Line): string {
  const { slot, role, lives } = line;
  const deaths = lives.filter(({ isDead }) => isDead).length;
  const isOpen = lives.at(-1)?.isDead === false;
  return `Connection ${slot}, ${role}, ${rhythmOf(line)}: ${
    deaths === 0 ? "never ended" : `ended ${count(deaths, "time")}`
  }, ${isOpen ? "open" : "not open"} at the end`;
}

/** The times at which a connection was open, as a path. Gaps too short to be seen are left out: their deaths are marked. */
function openPath(lives: readonly Life[], scale: TimeScale): string {
  return near(lives, scale)
    .map(([x1, x2]) => `M${x1} 10H${Math.max(x2, x1 + 0.1)}`).join("");
}

function deathPath(lives: readonly Life[], scale: TimeScale): string {
  let before = -Infinity;
  let path = "";
  for (const { to, isDead } of lives) {
    if (!isDead || to === undefined) continue;
    const x = scale.x(to);
    if (x - before < NEAR) continue;
    path += `M${x} 1V19`;
    before = x;
  }
  return path;
}

/** Behind the lines: when the server was away or stalled, or the watch did not run. */
function bands(kind: string, spans: readonly Span[], scale: TimeScale): Markup {
  const path = near(spans, scale)
    .map(([x1, x2]) => `M${x1} 0H${Math.max(x2, x1 + 1)}V20H${x1}Z`).join("");
  return markup`<path class="band ${kind}" d="${path}"/>`;
}

/** Spans in units of the drawing; those with too little between them to be seen are one. */
function near(
  spans: readonly Span[],
  scale: TimeScale,
): (readonly [from: number, to: number])[] {
  const found: [from: number, to: number][] = [];
  for (const { from, to = scale.to } of spans) {
    const [x1, x2] = [scale.x(from), scale.x(to)];
    const last = found.at(-1);
    if (last !== undefined && x1 - last[1] < NEAR) {
      last[1] = Math.max(last[1], x2);
    } else found.push([x1, x2]);
  }
  return found;
}
