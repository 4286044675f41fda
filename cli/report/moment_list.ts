// The moments of death as a list: what ended, why, and what to do.
import { count, duration } from "../../pool/connection/quantities.ts";
import { adviceOr, causeOf } from "./causes.ts";
import { type Markup, markup } from "./markup.ts";
import { deathsOf, type Kind, type Moment, rangeOf } from "./moments.ts";
import type { Night } from "./night.ts";
import { time } from "./time_scale.ts";

/** The list. */
export function momentList({ moments, servers }: Night): Markup {
  const { all, left } = moments;
  const isOfSeveral = servers.length > 1;
  if (all.length === 0) return markup`<p>None.</p>`;
  return markup`${
    left.moments > 0
      ? markup`<p>${count(left.moments, "earlier moment")} with ${
        count(left.deaths, "death")
      } count in the summary and are not listed.</p>`
      : undefined
  }<ol class="moments">${all.map((moment) => item(moment, isOfSeveral))}</ol>`;
}

const item = (moment: Moment, isOfSeveral: boolean): Markup => {
  const { id, node, from, to, times, kinds } = moment;
  return markup`<li id="m${id}" tabindex="-1"><h3>${time(from)}${
    times > 1
      ? markup` to ${time(to)}, ${count(times, "moment")} alike`
      : undefined
  }: ${count(deathsOf(moment), "connection")}${
    isOfSeveral ? ` to ${node}` : ""
  }</h3>${kinds.map((kind) => kindOf(kind, times))}</li>
`;
};

function kindOf(kind: Kind, times: number): Markup {
  const { confidence, deaths, idleMs, outcome, advice, frozenMs } = kind;
  const listed = kind.connections.toSorted((a, b) => a - b);
  const more = deaths - listed.length;
  return markup`<p class="${
    confidence === "none" ? "unknown" : confidence
  }"><strong>${causeOf(kind)}</strong>${
    confidence === "none" ? "" : ` (${confidence})`
  }: connection${deaths === 1 ? "" : "s"} ${listed.join(", ")}${
    more > 0 ? ` and ${more} more` : ""
  }, idle ${rangeOf(idleMs)}, ${HOW[kind.how] ?? kind.how} ${
    DURING[kind.during] ?? kind.during
  }. ${times > 1 ? "The first: " : ""}${sentence(outcome)}${
    frozenMs > 0
      ? ` The watch was frozen for ${
        duration(frozenMs)
      } before, so the idle time says nothing.`
      : ""
  }${
    advice === null
      ? markup` <em>To do: ${adviceOr(null, frozenMs > 0)}.</em>`
      : undefined
  }</p>`;
}

const HOW: Readonly<Record<string, string>> = {
  fin: "closed (FIN)",
  rst: "reset (RST)",
  silence: "silent",
  "tls-alert": "ended by a TLS alert",
  "protocol-error": "ended by a protocol error",
};

const DURING: Readonly<Record<string, string>> = {
  idle: "while idle",
  "awaiting-reply": "while a reply was awaited",
  "inside-reply": "within a reply",
  writing: "while a command was written",
};

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
