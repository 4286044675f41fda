// When the server was away or stalled, the watch frozen, or hash slots moved, as a table.
import { count, duration } from "../../pool/connection/quantities.ts";
import { type Markup, markup } from "./markup.ts";
import type { Night } from "./night.ts";
import { time } from "./time_scale.ts";

/** The most rows of the table. */
const MOST_ROWS = 200;

/** The table; `undefined` if nothing of that happened. */
export function interruptions(night: Night): Markup | undefined {
  const rows = rowsOf(night);
  if (rows.length === 0) return undefined;
  const more = rows.length - MOST_ROWS;
  return markup`${
    more > 0
      ? markup`<p>${
        count(more, "earlier one")
      } count in the summary and are not listed.</p>`
      : undefined
  }<div class="wide"><table>
<thead><tr><th>When</th><th>What</th></tr></thead>
<tbody>${
    rows.slice(-MOST_ROWS).map(({ from, what }) =>
      markup`<tr><td>${time(from)}</td><td>${what}</td></tr>
`
    )
  }</tbody></table></div>`;
}

function rowsOf({ servers, freezes, changes, to: end }: Night) {
  return [
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
}
