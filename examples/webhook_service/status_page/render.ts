// The status page as HTML. What comes from servers is escaped.
import type {
  CloseReport,
  RecorderStats,
  RedisStats,
  ServerStats,
} from "@unzombie/redis";
import type { Death } from "./deaths.ts";
import type { Rate } from "./rates.ts";
import { SCRIPT, STYLE } from "./assets.ts";

/** What the page shows. */
export interface Status {
  /** Unix time in milliseconds. */
  readonly now: number;
  readonly refreshSeconds: number;
  /** `host:port` that the client was made for. */
  readonly endpoint: string;
  readonly client: RedisStats;
  readonly events: RecorderStats;
  /** `undefined`: not known yet. */
  readonly perMinute: Rate | undefined;
  readonly deaths: readonly Death[];
}

/** The page. */
export const render = (status: Status): string =>
  `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="${status.refreshSeconds}"></noscript>
<title>${headline(status)} - ${text(status.endpoint)}</title>
<style>${STYLE}</style>
</head>
<body>
<main id="status" data-seconds="${status.refreshSeconds}">
<h1>${text(status.endpoint)}</h1>
<p class="state ${isGood(status) ? "good" : "bad"}">${headline(status)}${
    reason(status)
  }</p>
${events(status)}
${servers(status)}
${deaths(status)}
<p class="soft">As of ${time(status.now)}.</p>
</main>
<p><button id="pause" hidden>Pause updates</button> <span id="updates" role="status"></span></p>
<script>${SCRIPT}</script>
</body>
</html>
`;

const awaySince = ({ client, events }: Status): number | undefined =>
  events.awaySince ?? client.awaySince;

const isGood = (status: Status): boolean =>
  awaySince(status) === undefined &&
  status.events.lastOutboxError === undefined;

function headline(status: Status): string {
  const since = awaySince(status);
  if (since !== undefined) {
    return `Redis is away, for ${duration(status.now - since)}`;
  }
  return status.events.lastOutboxError === undefined
    ? "All is well"
    : "The store of queued events fails";
}

function reason({ client, events }: Status): string {
  const error = events.lastOutboxError ??
    (events.awaySince === undefined && client.awaySince === undefined
      ? undefined
      : events.lastError ?? client.lastDialError);
  return error === undefined ? "" : `: ${text(messageOf(error))}`;
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

const events = ({ events, perMinute }: Status): string =>
  `<section aria-labelledby="events"><h2 id="events">Events</h2><dl>${
    [
      figure("recorded a minute", rate(perMinute?.recorded)),
      figure("queued a minute", rate(perMinute?.queued), perMinute?.queued),
      figure("lost a minute", rate(perMinute?.dropped), perMinute?.dropped),
      figure(
        `in the outbox, of ${number(events.capacity)}`,
        number(events.pending),
        events.pending,
      ),
      figure("of these in its store", number(events.stored)),
      figure("recorded so far", number(events.recorded)),
      figure("queued so far", number(events.queued)),
      figure("lost so far", number(events.dropped), events.dropped),
    ].join("")
  }</dl></section>`;

const rate = (n: number | undefined): string =>
  n === undefined ? "…" : number(Math.round(n));

/** A number and its name. It stands out if `isBad` is not 0. */
const figure = (name: string, value: string, isBad = 0): string =>
  `<div><dt>${name}</dt><dd${
    isBad > 0 ? ' class="bad"' : ""
  }>${value}</dd></div>`;

const servers = ({ client, now }: Status): string =>
  `<section aria-labelledby="servers"><h2 id="servers">Servers</h2>
<div class="wide"><table><thead><tr><th>Server</th><th>State</th><th>Connections</th><th>In flight</th><th>Waiting</th><th>Dialed</th><th>Failed dials</th></tr></thead><tbody>${
    Object.entries(client.servers).map(([name, server]) =>
      `<tr><th scope="row">${text(name)}</th><td>${
        stateOf(server, now)
      }</td><td>${server.open} of ${server.maxConnections}${
        server.leased > 0 ? `, ${server.leased} leased` : ""
      }${server.suspect > 0 ? `, ${server.suspect} suspect` : ""}</td><td>${
        number(server.inFlight)
      }</td><td>${number(server.waiting)}</td><td>${
        number(server.dialed)
      }</td><td>${number(server.dialFailures)}</td></tr>`
    ).join("")
  }</tbody></table></div>
<p>${number(client.retries)} retries, ${number(client.replays)} replays, ${
    number(client.redirects.moved + client.redirects.ask)
  } redirects so far.</p></section>`;

function stateOf({ awaySince, hashSlots }: ServerStats, now: number): string {
  if (hashSlots === 0) return "has left";
  return awaySince === undefined
    ? "there"
    : `<strong class="bad">away, for ${duration(now - awaySince)}</strong>`;
}

const deaths = ({ deaths }: Status): string =>
  `<section aria-labelledby="deaths"><h2 id="deaths">Connections that ended</h2>${
    deaths.length === 0
      ? "<p>None so far.</p>"
      : `<ol>${
        deaths.map(({ report, verdict }) =>
          `<li>${time(report.closedAt)} ${text(closeOf(report))}. ${
            verdict === undefined ? "" : text(`${verdict.text}.`)
          }</li>`
        ).join("")
      }</ol>`
  }</section>`;

const closeOf = (
  { connection, endpoint, how, during, ageMs, idleMs }: CloseReport,
): string =>
  `Connection ${connection} to ${endpoint} ended (${how}, ${during}), ${
    duration(ageMs)
  } old, idle for ${duration(idleMs)}`;

const number = (n: number): string => n.toLocaleString("en-US");

function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120
    ? `${minutes} min`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A time in UTC; the script shows it in the reader's zone. */
function time(at: number): string {
  const iso = new Date(at).toISOString();
  return `<time datetime="${iso}">${
    iso.slice(0, 19).replace("T", " ")
  } UTC</time>`;
}

const text = (text: string): string =>
  text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
