// Draws how long connections had been idle when they ended, beside the public idle limits.
import { count, duration } from "../../pool/connection/quantities.ts";
import { LIMITS } from "../../pool/forensics/idle_rules.ts";
import { type Markup, markup } from "./markup.ts";
import type { IdleAge, IdleAges } from "./idle_ages.ts";
import { labelAt, WIDTH } from "./time_scale.ts";

const HEIGHT = 100;
/** Limits are drawn as far as this many times the longest idle time: one that is far off says nothing. */
const REACH = 2;
const LEAST_MS = 100;
/** Idle times to label. */
const LABELS_MS = [
  ...[100, 1000, 10_000, 60_000],
  ...[600_000, 3_600_000, 36_000_000, 360_000_000],
];

const IDLE_LIMITS = LIMITS.filter(({ counts }) => counts === "idle");

/** The histogram, its numbers as a table, and what is left out. */
export function histogram(ages: IdleAges): Markup {
  const { all: steps, afterFreeze } = ages;
  if (steps.length === 0 && afterFreeze === 0) {
    return markup`<p>No connection ended.</p>`;
  }
  return markup`${steps.length > 0 ? drawing(steps) : undefined}${
    afterFreeze > 0
      ? markup`<p>Left out: ${
        count(afterFreeze, "death")
      } after a freeze of the watch, whose idle times say nothing.</p>`
      : undefined
  }`;
}

/** The histogram, and its numbers as a table. */
function drawing(steps: readonly IdleAge[]): Markup {
  const longest = steps.at(-1)!.to;
  const least = Math.min(LEAST_MS, steps[0]!.from);
  const most = Math.max(
    longest,
    ...IDLE_LIMITS.map(({ seconds }) => seconds * 1000)
      .filter((ms) => ms <= longest * REACH),
  ) * 1.2;
  const x = (ms: number): number =>
    Math.round(
      Math.log(Math.max(ms, least) / least) / Math.log(most / least) * WIDTH *
        10,
    ) / 10;
  const percent = (ms: number): string => `${x(ms) * 100 / WIDTH}%`;
  const highest = Math.max(...steps.map(({ deaths }) => deaths));
  const limits = IDLE_LIMITS.filter(({ seconds }) => seconds * 1000 <= most);
  const bars = steps.map(({ from, to, deaths }) => {
    const height = Math.max(2, Math.round(deaths / highest * HEIGHT));
    const width = Math.max(1, Math.round((x(to) - x(from)) * 10) / 10);
    return `M${x(from)} ${HEIGHT}v${-height}h${width}v${height}z`;
  });
  const lines = limits.map(({ seconds }) =>
    `M${x(seconds * 1000)} 0V${HEIGHT}`
  );
  return markup`<div class="histogram">
<div class="limits" aria-hidden="true">${
    limits.map(({ seconds }, i) =>
      markup`<span style="${labelAt(percent(seconds * 1000))};top:${
        i % 3
      }em">${seconds} s</span>`
    )
  }</div>
<svg role="img" aria-label="Deaths by idle time; the table below has the numbers" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none"><path class="deaths" d="${
    bars.join("")
  }"/><path class="limit" d="${lines.join("")}"/></svg>
<div class="axis" aria-hidden="true">${
    LABELS_MS.filter((ms) => ms >= least && ms <= most).map((ms) =>
      markup`<span style="${labelAt(percent(ms))}">${duration(ms)}</span>`
    )
  }</div>
</div>
<details><summary>The numbers, and the limits</summary>
${
    table(
      ["Idle for", "Deaths"],
      steps.map(({ from, to, deaths }) => [
        `${duration(from)} to ${duration(to)}`,
        `${deaths}`,
      ]),
    )
  }${
    table(
      ["Public idle limit", "Of"],
      IDLE_LIMITS.map(({ seconds, name }) => [`${seconds} s`, name]),
    )
  }</details>`;
}

const table = (
  head: readonly string[],
  rows: readonly (readonly string[])[],
): Markup =>
  markup`<table><thead><tr>${
    head.map((cell) => markup`<th>${cell}</th>`)
  }</tr></thead><tbody>${
    rows.map((row) =>
      markup`<tr>${row.map((cell) => markup`<td>${cell}</td>`)}</tr>
`
    )
  }</tbody></table>`;
