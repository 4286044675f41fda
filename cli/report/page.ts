// The page of a watch: one file, without anything from elsewhere.
import { duration } from "../../pool/connection/quantities.ts";
import { histogram } from "./histogram.ts";
import { interruptions } from "./interruptions.ts";
import { legend, lifeLines } from "./life_lines.ts";
import { type Markup, markup } from "./markup.ts";
import { momentList } from "./moment_list.ts";
import type { Night, Server } from "./night.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";
import { settings, summary } from "./summary.ts";
import { time, TimeScale } from "./time_scale.ts";

/** What a page may load: nothing. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/** The whole page. */
export function page(night: Night): string {
  const scale = new TimeScale(night.from, night.to);
  const title = `Connections to ${night.of}`;
  return `${markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p>${time(night.from)} to ${time(night.to)} (${
    duration(night.to - night.from)
  }), ${
    night.isOver
      ? "watched to the end"
      : "the watch goes on: load the page again for more"
  }. <span id="zone">Times are in UTC.</span></p>
</header>
<main>
${section("summary", "Summary", summary(night))}
${section("settings", "Settings to copy", settings(night))}
${
    section(
      "lines",
      "Life lines",
      markup`${legend()}${
        night.servers.map((server) =>
          markup`<h3>${headingOf(server)}</h3>
${lifeLines(server, night, scale)}`
        )
      }`,
    )
  }
${
    section(
      "idle",
      "Idle for how long, when they ended",
      histogram(night.idleAges),
    )
  }
${section("moments", "Deaths by moment", momentList(night))}
${section("away", "Away, stalled, frozen", interruptions(night))}
</main>
<footer><p>Made by <code>verify watch</code> of @unzombie/redis.</p></footer>
<script>${SCRIPT}</script>
</body>
</html>
`}`;
}

/** A section and its heading; nothing if it is empty. */
const section = (
  id: string,
  heading: string,
  content: Markup | undefined,
): Markup | undefined =>
  content &&
  markup`<section aria-labelledby="${id}"><h2 id="${id}">${heading}</h2>
${content}
</section>`;

const headingOf = ({ node, start: { server, tls } }: Server): string =>
  `${node}, ${server === null ? "version unknown" : `version ${server}`}, ${
    tls ? "TLS" : "plain TCP"
  }`;
