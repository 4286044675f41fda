// The summary of a watch in numbers, a row for each cause, and the settings that avoid deaths.
import { count, duration } from "../../pool/connection/quantities.ts";
import type { CauseRow } from "../watch/json_lines.ts";
import { adviceOr, nameOfCause, settingsOf, UNKNOWN } from "./causes.ts";
import { type Markup, markup } from "./markup.ts";
import { rangeOf } from "./moments.ts";
import type { Night, Span } from "./night.ts";

/** Numbers and causes. */
export function summary(night: Night): Markup {
  const { deaths, servers, causes, refused, freezes, moments, to } = night;
  const aways = servers.flatMap(({ aways }) => aways);
  const stalls = servers.flatMap(({ stalls }) => stalls);
  const watched = servers.reduce(
    (sum, { start }) => sum + start.connections.length,
    0,
  );
  const rest = Math.max(
    0,
    ...servers.map(({ summary }) => summary?.longestIdleMs ?? 0),
  );
  return markup`<dl>${[
    figure("connections watched", `${watched}`),
    figure("deaths", `${deaths}`, deaths > 0),
    figure("moments of death", `${moments.count}`),
    figure("server away", totalOf(aways, to), aways.length > 0),
    figure("server stalled", totalOf(stalls, to), stalls.length > 0),
    ...freezes.length > 0
      ? [figure("watch frozen", totalOf(freezes, to), true)]
      : [],
    ...rest > 0 ? [figure("longest rest survived", duration(rest))] : [],
  ]}</dl>
${
    deaths > 0
      ? causeTable(causes)
      : markup`<p>${
        night.isOver
          ? "Nothing closed a connection."
          : "Nothing has closed a connection so far."
      }</p>`
  }${
    refused.length > 0
      ? markup`<p>The server refuses ${
        refused.join(", ")
      }: some causes cannot be found without it.</p>`
      : undefined
  }`;
}

const figure = (name: string, value: string, isBad = false): Markup =>
  markup`<div><dt>${name}</dt><dd${
    isBad ? markup` class="bad"` : undefined
  }>${value}</dd></div>`;

function totalOf(spans: readonly Span[], end: number): string {
  if (spans.length === 0) return "never";
  const ms = spans.reduce(
    (sum, { from, to = end }) => sum + Math.max(0, to - from),
    0,
  );
  return `${count(spans.length, "time")}, ${duration(ms)}`;
}

const causeTable = (causes: readonly CauseRow[]): Markup =>
  markup`<div class="wide"><table>
<thead><tr><th>Cause</th><th>Deaths</th><th>Confidence</th><th>Idle for</th><th>What to do</th></tr></thead>
<tbody>${
    causes.map((row) =>
      markup`<tr><th scope="row">${
        row.cause === null
          ? UNKNOWN[`${row.afterFreeze}`]
          : nameOfCause(row.cause)
      }</th><td>${row.deaths}</td><td>${confidenceOf(row)}</td><td>${
        rangeOf(row.idleMs)
      }</td><td>${adviceOr(row.advice, row.afterFreeze)}</td></tr>
`
    )
  }</tbody></table></div>`;

const confidenceOf = ({ confidence, deaths }: CauseRow): string =>
  (["likely", "possible", "none"] as const)
    .filter((name) => confidence[name] > 0)
    .map((name) =>
      confidence[name] === deaths ? name : `${confidence[name]} ${name}`
    ).join(", ");

/** The settings that avoid deaths; `undefined` if there are none. */
export function settings({ causes }: Night): Markup | undefined {
  const all = settingsOf(causes);
  if (all.length === 0) return undefined;
  const [kept, changed] = [true, false].map((isDefault) =>
    all.filter((setting) => setting.isDefault === isDefault)
  ) as [typeof all, typeof all];
  return markup`${
    changed.length > 0
      ? markup`<pre tabindex="0"><code>new Redis(url, {
${changed.map(({ option, ms }) => `  ${option}: ${ms},\n`)}});</code></pre>`
      : undefined
  }${
    kept.map(({ option, ms }) =>
      markup`<p><code>${option}</code> must stay below ${ms}: the default of this client does.</p>`
    )
  }`;
}
