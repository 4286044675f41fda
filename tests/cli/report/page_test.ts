// That a page says what the events say, is no larger than it may be, and cannot be broken by a server's text.
import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { settingsOf } from "../../../cli/report/causes.ts";
import { Night } from "../../../cli/report/night.ts";
import { page } from "../../../cli/report/page.ts";
import type { WatchEvent } from "../../../cli/watch/json_lines.ts";
import { at, death, NODE, open, start } from "./events.ts";

function pageOf(...events: WatchEvent[]): string {
  const night = new Night();
  for (const event of events) night.add(event);
  return page(night);
}

/** The text of a page, in one line. */
const textOf = (html: string): string =>
  html.replace(/<(style|script)>.*?<\/\1>/gs, "").replace(/<[^>]*>/g, " ")
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))
    .replace(/\s+/g, " ");

Deno.test("A page names cause, confidence, numbers and advice of each death", () => {
  const text = textOf(pageOf(
    start(),
    ...[1, 2, 3].map((slot) => open(slot, slot, 0)),
    ...[1, 2].map((slot) => death(slot, slot, 301, { together: 2 })),
  ));
  assertStringIncludes(text, `Connections to ${NODE}`);
  assertMatch(
    text,
    /idle timeout of the server 2 likely 301 s set idleTimeoutMs below 270000/,
  );
  assertMatch(text, /2026-11-27 00:05:01 UTC : 2 connections/);
  assertMatch(text, /idleTimeoutMs must stay below 270000: the default/);
  assertMatch(text, /240 s Azure Load Balancer/);
});

Deno.test("Settings have the lowest value of each, if the default is not as low", () => {
  const row = (advice: string) => ({
    ...{ cause: "idle-timeout", deaths: 1, afterFreeze: false, advice },
    confidence: { likely: 1, possible: 0, none: 0 },
    idleMs: { min: 1, max: 1 },
  });
  assertEquals(
    settingsOf([
      row("set idleTimeoutMs below 54000"),
      row("set idleTimeoutMs below 270000"),
      row("set maxAgeMs below 38000000"),
      row("find out what sends it"),
    ]),
    [
      { option: "idleTimeoutMs", ms: 54_000, isDefault: false },
      { option: "maxAgeMs", ms: 38_000_000, isDefault: true },
    ],
  );
});

Deno.test("A page of a watch without deaths says so", () => {
  const text = textOf(pageOf(start(), open(1, 1, 0)));
  assertStringIncludes(text, "Nothing has closed a connection so far.");
  assertStringIncludes(text, "the watch goes on");
});

Deno.test("Deaths that all came after a freeze are left out of the idle times, and said to be", () => {
  const text = textOf(
    pageOf(start(), death(1, 1, 300, { frozenMs: 250_000 })),
  );
  assertEquals(text.includes("No connection ended."), false);
  assertStringIncludes(text, "Left out: 1 death after a freeze");
});

Deno.test("Texts of a server become no markup", () => {
  const hostile = `"><script>alert(1)</script><img src=x onerror='alert(2)'>`;
  const html = pageOf(
    start(2, { server: hostile, endpoint: NODE }),
    death(1, 1, 10, {
      ...{ cause: hostile, outcome: hostile, advice: hostile },
      ...{ evidence: [hostile], how: hostile, during: hostile },
      refused: [hostile],
    }),
    { type: "away", node: NODE, at: at(11), reason: hostile, open: 0 },
  );
  assertEquals(html.match(/<script>/g)?.length, 1);
  assertEquals(html.match(/<img/g), null);
  assert(!html.includes(hostile));
});

Deno.test("A page takes nothing from elsewhere", () => {
  const html = pageOf(start(), death(1, 1, 10));
  assertEquals(html.match(/(?:src|href)="(?!#|data:)/g), null);
  assertEquals(html.match(/https?:|url\(|@import/g), null);
  assert(html.includes("default-src &#39;none&#39;"));
});

Deno.test("A night of 10 connections that die each minute is a page of less than 300 KB", () => {
  const events: WatchEvent[] = [start(9)];
  let connection = 0;
  for (let slot = 1; slot <= 10; slot++) {
    events.push(open(slot, ++connection, 0));
  }
  const causes = ["idle-timeout", "client-kill", "restart", "middlebox", null];
  for (let minute = 1; minute <= 600; minute++) {
    for (let slot = 1; slot <= 9; slot++) {
      events.push(
        death(slot, connection - 10 + slot, minute * 60, {
          ...{ event: minute, together: 9 },
          cause: causes[minute % causes.length]!,
          idleMs: 1000 * minute + slot,
        }),
        open(slot, ++connection, minute * 60 + 1),
      );
    }
    events.push({
      ...{ type: "stalled", node: NODE, at: at(minute * 60), forMs: 1200 },
    });
  }
  const html = pageOf(...events);
  assertLess(html.length, 300_000);
  assert(textOf(html).includes("deaths 5400 moments of death 600"));
});

Deno.test("No label stands beyond the edge of a drawing: a phone would scroll sideways", () => {
  const html = pageOf(
    start(),
    open(1, 1, 0),
    death(1, 1, 600, { idleMs: 600_000 }),
  );
  const labels = html.match(/<div class="(?:axis|limits)".*?<\/div>/gs)!
    .flatMap((drawing) => drawing.match(/<span style="[^"]*"/g)!);
  assert(labels.length > 10);
  for (const label of labels) {
    assertMatch(label, /left:clamp\(2rem,[\d.]+%,calc\(100% - 2rem\)\)/);
  }
});
