// The page of a watch: one file, without anything from elsewhere.
import { count, duration } from "../../pool/connection/quantities.ts";
import type { CauseRow } from "../watch/json_lines.ts";
import { causeOf, nameOfCause, settingsOf } from "./causes.ts";
import { histogram } from "./histogram.ts";
import { type Markup, markup } from "./markup.ts";
import { lifeLines } from "./life_lines.ts";
import type { Kind, Moment, Range } from "./moments.ts";
import { deathsOf, type Night } from "./night.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";
import { time, TimeScale } from "./time_scale.ts";

/** The whole page. */
export function page(night: Night): string {
  const scale = new TimeScale(night.from, night.to);
  const title = `Connections to ${night.of}`;
  return `${markup`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
        <meta name="color-scheme" content="light dark">
        <link rel="icon" href="data:,">
        <title>${title}</title>
        <style>${STYLE}</style>
      </head>
      <body>
        <header>
          <h1>${title}</h1>
          <p>${time(night.from)} to ${time(night.to)} (${
    duration(
      night.to - night.from,
    )
  }), ${
    night.isOver
      ? "watched to the end"
      : "the watch goes on: load the page again for more"
  }. <span id="zone">Times are in UTC.</span></p>
        </header>
        <main>
        ${summary(night)}
        ${settings(night)}
        <section aria-labelledby="lines"><h2 id="lines">Life lines</h2>
        ${legend()}
        ${
    night.servers.map((server) =>
      markup`<h3>${server.node}, ${
        server.start.server === null
          ? "version unknown"
          : `version ${server.start.server}`
      }, ${server.start.tls ? "TLS" : "plain TCP"}</h3>
${lifeLines(server, night, scale)}`
    )
  }
        </section>
        <section aria-labelledby="idle"><h2 id="idle">Idle for how long, when they ended</h2>
        ${histogram(night.idleAges)}
        </section>
        ${moments(night)}
        ${interruptions(night)}
            </main>
        <footer>
          <p>Made by <code>verify watch</code> of @unzombie/redis.</p>
        </footer>
        <script>${SCRIPT}</script>
      </body>
    </html>
  `}`;
}

function summary(night: Night): Markup {
  const { deaths, servers, causes, refused, freezes } = night;
  const aways = servers.flatMap(({ aways }) => aways);
  const stalls = servers.flatMap(({ stalls }) => stalls);
  const watched = servers.reduce(
    (sum, { start }) => sum + start.connections.length,
    0,
  );
  const longest = Math.max(
    0,
    ...servers.map(({ summary }) => summary?.longestIdleMs ?? 0),
  );
  return markup`<section aria-labelledby="summary"><h2 id="summary">Summary</h2>
<dl>
${figure("connections watched", `${watched}`)}
${figure("deaths", `${deaths}`, deaths > 0)}
${figure("moments", `${night.moments.count}`)}
${
    figure(
      "server away",
      aways.length === 0 ? "never" : totalOf(aways, night),
      aways.length > 0,
    )
  }
${
    figure(
      "server stalled",
      stalls.length === 0 ? "never" : totalOf(stalls, night),
      stalls.length > 0,
    )
  }
${
    freezes.length > 0
      ? figure("watch frozen", totalOf(freezes, night), true)
      : undefined
  }
${longest > 0 ? figure("survived a rest of", duration(longest)) : undefined}
</dl>
${
    deaths === 0
      ? markup`<p>${
        night.isOver
          ? "Nothing closed a connection."
          : "Nothing has closed a connection so far."
      }</p>`
      : causeTable(causes)
  }
${
    refused.length > 0
      ? markup`<p>The server refuses ${
        refused.join(", ")
      }: some causes cannot be found without it.</p>`
      : undefined
  }</section>`;
}

const figure = (name: string, value: string, isBad = false): Markup =>
  markup`
    <div>
      <dt>${name}</dt>
      <dd${
    isBad
      ? markup`
          class="bad"
        `
      : undefined
  }>${value}</dd></div>
  `;

function totalOf(
  spans: readonly { readonly from: number; readonly to?: number }[],
  { to: end }: Night,
): string {
  const ms = spans.reduce(
    (sum, { from, to = end }) => sum + Math.max(0, to - from),
    0,
  );
  return `${count(spans.length, "time")}, ${duration(ms)}`;
}

const causeTable = (causes: readonly CauseRow[]): Markup =>
  markup`
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th>Cause</th>
            <th>Deaths</th>
            <th>Confidence</th>
            <th>Idle for</th>
            <th>What to do</th>
          </tr>
        </thead>
        <tbody>${
    causes.map((row) =>
      markup`
            <tr>
              <th scope="row">${
        row.cause === null
          ? row.afterFreeze ? "unknown, after a freeze of the watch" : "unknown"
          : nameOfCause(row.cause)
      }</th>
              <td>${row.deaths}</td>
              <td>${confidenceOf(row)}</td>
              <td>${range(row.idleMs)}</td>
              <td>${adviceOf(row.advice, row.afterFreeze)}</td>
            </tr>
          `
    )
  }</tbody>
      </table>
    </div>
  `;

const confidenceOf = ({ confidence, deaths }: CauseRow): string =>
  (["likely", "possible", "none"] as const)
    .filter((name) => confidence[name] > 0)
    .map((name) =>
      confidence[name] === deaths ? name : `${confidence[name]} ${name}`
    ).join(", ");

const adviceOf = (advice: string | null, afterFreeze: boolean): string =>
  advice ??
    (afterFreeze
      ? "watch on a machine that does not sleep"
      : "check the server's log, and proxies in between");

function range({ min, max }: Range): string {
  const [from, to] = [duration(min), duration(max)];
  return from === to ? from : `${from} to ${to}`;
}

function settings({ causes }: Night): Markup | undefined {
  const all = settingsOf(causes);
  if (all.length === 0) return undefined;
  const needed = all.filter(({ isDefault }) => !isDefault);
  return markup`<section aria-labelledby="settings"><h2 id="settings">Settings to copy</h2>
${
    needed.length > 0
      ? markup`<pre tabindex="0"><code>new Redis(url, {
${needed.map(({ option, ms }) => `  ${option}: ${ms},\n`)}});</code></pre>`
      : undefined
  }${
    all.filter(({ isDefault }) => isDefault).map(({ option, ms }) =>
      markup`<p><code>${option}</code> must stay below ${ms}: the default of this client does.</p>`
    )
  }</section>`;
}

const legend = (): Markup =>
  markup`<ul class="legend">${
    [
      ["idle", "open, idle"],
      ["busy", "open, busy"],
      ["death", "ended"],
      ["away", "server away"],
      ["stalled", "server stalled"],
      ["frozen", "watch frozen"],
    ].map(([name, text]) =>
      markup`<li><svg viewBox="0 0 30 20" aria-hidden="true">${
        name === "idle" || name === "busy"
          ? markup`
            <path class="${name}" d="M0 10H30" />
          `
          : name === "death"
          ? markup`
            <path class="death" d="M15 1V19" />
          `
          : markup`
            <rect class="${name}" width="30" height="20" />
          `
      }</svg>${text}</li>`
    )
  }</ul>`;

function moments(night: Night): Markup {
  const { all, left } = night.moments;
  const isOfSeveral = night.servers.length > 1;
  return markup`<section aria-labelledby="moments"><h2 id="moments">Deaths by moment</h2>
${
    left.moments > 0
      ? markup`<p>${count(left.moments, "earlier moment")} with ${
        count(left.deaths, "death")
      } count in the summary and are not listed.</p>`
      : undefined
  }${all.length === 0 ? markup`<p>None.</p>` : undefined}<ol class="moments">${
    all.map((moment) => item(moment, isOfSeveral))
  }</ol></section>`;
}

function item(moment: Moment, isOfSeveral: boolean): Markup {
  const { id, node, from, to, times, kinds } = moment;
  return markup`
    <li id="m${id}"
      tabindex="-1"><h3>${time(from)}${
    times > 1
      ? markup`
          to ${time(to)}, ${count(times, "moment")} alike
        `
      : undefined
  }: ${count(deathsOf(moment), "connection")}${
    isOfSeveral ? ` to ${node}` : ""
  }</h3>${kinds.map((kind) => kindOf(kind, times))}</li>
  `;
}

function kindOf(kind: Kind, times: number): Markup {
  const { confidence, deaths, connections, idleMs, outcome, advice } = kind;
  const more = deaths - connections.length;
  return markup`
    <p
      class="${confidence === "none" ? "unknown" : confidence}"><strong>${
    causeOf(kind)
  }</strong>${confidence === "none" ? "" : ` (${confidence})`}: connection${
    connections.length === 1 ? "" : "s"
  } ${connections.join(", ")}${more > 0 ? ` and ${more} more` : ""}, idle ${
    range(idleMs)
  }, ${
    HOW[kind.how] ??
      kind.how
  } ${DURING[kind.during] ?? kind.during}.${times > 1 ? " The first: " : " "}${
    sentence(outcome)
  }${
    kind.frozenMs > 0
      ? ` The watch was frozen for ${
        duration(kind.frozenMs)
      } before, so the idle time says nothing.`
      : ""
  }${
    advice === null
      ? markup`
          <em>${adviceOf(null, kind.frozenMs > 0)}.</em>
        `
      : undefined
  }</p>
  `;
}

const HOW: Readonly<Record<string, string>> = {
  fin: "closed (FIN)",
  rst: "reset (RST)",
  silence: "silent",
};

const DURING: Readonly<Record<string, string>> = {
  idle: "while idle",
  "awaiting-reply": "while a reply was awaited",
  "inside-reply": "within a reply",
  writing: "while a command was written",
};

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** When the server was away or stalled, the watch frozen, or hash slots moved. */
function interruptions(night: Night): Markup | undefined {
  const { servers, freezes, changes, to: end } = night;
  const rows = [
    ...servers.flatMap(({ node, aways, stalls }) => [
      ...aways.map(({ from, to, reason }) => ({
        from,
        what: `${node} away for ${duration((to ?? end) - from)}${
          to === undefined ? " and more" : ""
        }: ${reason}`,
      })),
      ...stalls.map(({ from, to }) => ({
        from,
        what: `${node} stalled: it answered after ${duration(to - from)}`,
      })),
    ]),
    ...freezes.map(({ from, to }) => ({
      from,
      what: `the watch did not run for ${duration(to - from)}`,
    })),
    ...changes.map(({ at, what }) => ({ from: at, what })),
  ].sort((a, b) => a.from - b.from);
  if (rows.length === 0) return undefined;
  return markup`
    <section aria-labelledby="away">
      <h2 id="away">Away, stalled, frozen</h2>
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th>When</th>
              <th>What</th>
            </tr>
          </thead>
          <tbody>${
    rows.map(({ from, what }) =>
      markup`
              <tr>
                <td>${time(from)}</td>
                <td>${what}</td>
              </tr>
            `
    )
  }</tbody>
        </table>
      </div>
    </section>
  `;
}
