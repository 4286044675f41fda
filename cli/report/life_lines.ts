// Draws the life lines of a server: when each of its connections was open, and when it ended.
import { count, duration } from "../../pool/connection/quantities.ts";
import { type Markup, markup } from "./markup.ts";
import type { Life, Line } from "./lines.ts";
import type { Moment } from "./moments.ts";
import { deathsOf, type Night, type Server } from "./night.ts";
import { causeOf } from "./causes.ts";
import { time, type TimeScale, WIDTH } from "./time_scale.ts";

/** How near two marks may be before they are drawn as one, in units of the drawing. */
const NEAR = 0.5;
/** How many moments have a mark of their own, which the keyboard reaches. */
const MOST_MARKS = 100;

/** The life lines of one server. */
export function lifeLines(
  server: Server,
  night: Night,
  scale: TimeScale,
): Markup {
  const bands = bandsOf(server, night, scale);
  const moments = night.moments.all.filter(({ node }) => node === server.node);
  return markup`<div class="lines">
<div class="row marks"><span class="name">ended</span><span class="bar">${
    moments.slice(-MOST_MARKS).map((moment) => mark(moment, scale))
  }</span></div>
${server.lines.all.map((line) => row(line, bands, scale))}
<div class="row"><span class="name"></span>${scale.axis}</div>
</div>`;
}

/** A link from the place of a moment to its description. */
const mark = (moment: Moment, scale: TimeScale): Markup => {
  const { id, from, to, times, kinds } = moment;
  const what = `${count(deathsOf(moment), "connection")} ended: ${
    kinds.map(causeOf).join(", ")
  }`;
  const wide = times > 1
    ? markup`;width:max(.7rem,${
      Math.round((scale.x(to) - scale.x(from)) * 1000 / WIDTH) / 10
    }%)`
    : undefined;
  return markup`
    <a href="#m${id}" style="left:${scale.percent(from)}${wide}"
      title="${what}"><span class="hidden">${time(from)}: ${what}</span></a>
  `;
};

function row(line: Line, bands: Markup, scale: TimeScale): Markup {
  const { slot, role, lives } = line;
  return markup`
    <div
      class="row"><span class="name">${slot} ${role}<small>${
    rhythmOf(
      line,
    )
  }</small></span><svg class="bar" role="img" aria-label="${
    textOf(
      line,
    )
  }" viewBox="0 0 ${WIDTH} 20" preserveAspectRatio="none">${bands}<path class="${role}" d="${
    openPath(
      lives,
      scale,
    )
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

/** The times at which a connection was open, as a path. Very short gaps are left out: their deaths are marked. */
function openPath(lives: readonly Life[], scale: TimeScale): string {
  const spans: [from: number, to: number][] = [];
  for (const { from, to = scale.to } of lives) {
    const [x1, x2] = [scale.x(from), scale.x(to)];
    const last = spans.at(-1);
    if (last !== undefined && x1 - last[1] < NEAR) last[1] = x2;
    else spans.push([x1, x2]);
  }
  return spans.map(([x1, x2]) => `M${x1} 10H${Math.max(x2, x1 + 0.1)}`).join(
    "",
  );
}

function deathPath(lives: readonly Life[], scale: TimeScale): string {
  let before = -Infinity;
  let path = "";
  for (const { to, isDead } of lives) {
    const x = to === undefined ? 0 : scale.x(to);
    if (!isDead || x - before < NEAR) continue;
    path += `M${x} 1V19`;
    before = x;
  }
  return path;
}

/** Behind the lines: when the server was away or stalled, and when the watch did not run. */
function bandsOf(server: Server, night: Night, scale: TimeScale): Markup {
  const band = (kind: string, from: number, to: number = scale.to) => {
    const x = scale.x(from);
    const width = Math.max(1, Math.round((scale.x(to) - x) * 10) / 10);
    return markup`
      <rect class="${kind}" x="${x}" y="0" width="${width}"
        height="20" />
    `;
  };
  return markup`${server.aways.map(({ from, to }) => band("away", from, to))}${
    server.stalls.map(({ from, to }) => band("stalled", from, to))
  }${night.freezes.map(({ from, to }) => band("frozen", from, to))}`;
}
