// That a night is read off its page alone, in a real browser.
import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { ignore, seenBy } from "../../support/browser_for_tests.ts";
import { startRedis } from "../../support/redis_server.ts";
import { until } from "../../support/wait.ts";
import { idsOf } from "../watch/clients.ts";
import { command, verify } from "../run_verify.ts";
import type { Seen } from "./look.ts";

const LOOK = new URL("look.ts", import.meta.url);

/** A watch of the real command, its events and its page. */
async function night(folder: string) {
  await using server = await startRedis({ config: { timeout: 2 } });
  const report = `${folder}/night.html`;
  const child = command([
    ...["watch", "--url", server.url, "--json", "--report", report],
    ...["--connections=4", "--busy=2", "--every=100"],
  ], {}).spawn();
  const [lines, rest] = child.stdout.tee();
  const out = new Response(rest).text();
  const warnings = new Response(child.stderr).text();
  let text = "";
  const reading = (async () => {
    for await (const chunk of lines.pipeThrough(new TextDecoderStream())) {
      text += chunk;
    }
  })();
  const says = (pattern: RegExp) =>
    until(() => pattern.test(text), `${pattern}`, 15_000);
  // Whenever it is read it is whole.
  let isOver = false;
  let reads = 0;
  const reader = (async () => {
    while (!isOver) {
      const page = await Deno.readTextFile(report).catch(() => undefined);
      if (page !== undefined) {
        assert(page.endsWith("</html>\n"), "the file is cut");
        reads++;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await says(/"cause":"idle-timeout"/);
  await server.cli("CLIENT", "KILL", "TYPE", "normal");
  await says(/"cause":"client-kill"/);
  // A pause is seen by connections that are open, and those have just been killed.
  while (!/"type":"stalled"/.test(text)) {
    await until(async () => (await idsOf(server)).length === 6);
    await delay(300);
    await server.cli("CLIENT", "PAUSE", 1300, "ALL");
    await delay(1700);
  }
  await server.restart({ downMs: 700 });
  await says(/"type":"back"/);
  child.kill("SIGINT");
  const { code } = await child.status;
  isOver = true;
  await Promise.all([reader, reading]);
  assertEquals([code, await warnings], [0, ""]);
  assert(reads > 0);
  await Deno.writeTextFile(`${folder}/night.jsonl`, await out);
  return {
    report,
    events: (await out).trim().split("\n").map((line) => JSON.parse(line)),
  };
}

Deno.test({
  name: "A night is read off its page alone, in a browser",
  ignore,
  async fn(t) {
    const folder = await Deno.makeTempDir();
    try {
      const { report, events } = await night(folder);
      const deaths = events.filter(({ type }) => type === "death");
      const seen = await seenBy<Seen>(LOOK, `file://${report}`);

      await t.step(
        "It opens without a warning, and asks nothing of the network",
        () => {
          for (const { errors, requests } of seen.sights) {
            assertEquals([errors, requests], [[], []]);
          }
        },
      );
      await t.step(
        "It is as wide as a phone or a screen, light or dark",
        () => {
          assertEquals(seen.sights.map(({ beyond }) => beyond), [0, 0, 0, 0]);
          const [light, dark] = seen.sights.map(({ background }) => background);
          assertNotEquals(light, dark);
          assertEquals(seen.printed, light); // paper is white
        },
      );
      await t.step("It is right to the event", () => {
        assertEquals(seen.figures["deaths"], `${deaths.length}`);
        assertEquals(seen.figures["connections watched"], "6");
        const timesOf = (kind: string) => {
          const { length } = events.filter(({ type }) => type === kind);
          return new RegExp(`^${length} time${length === 1 ? "" : "s"}, `);
        };
        assertMatch(seen.figures["server away"]!, timesOf("away"));
        assertMatch(seen.figures["server stalled"]!, timesOf("stalled"));
        const counted = seen.causes.map((
          [cause, count],
        ) => [cause, Number(count)]);
        const names: Record<string, string> = {
          "idle-timeout": "idle timeout of the server",
          "client-kill": "CLIENT KILL",
          "restart": "restart of the server",
          "middlebox": "something on the network path",
          "server-stall": "stalled server",
        };
        const byCause = Map.groupBy(
          deaths,
          ({ cause, frozenMs }) =>
            names[cause] ??
              (frozenMs > 0
                ? "unknown, after a freeze of the watch"
                : "unknown"),
        );
        assertEquals(
          new Map(counted as [string, number][]),
          new Map(
            Array.from(byCause, ([cause, { length }]) => [cause, length]),
          ),
        );
        const moments = new Set(deaths.map(({ event }) => event)).size;
        assertEquals(seen.figures["moments of death"], `${moments}`);
      });
      await t.step("It says what to set", () => {
        assertStringIncludes(seen.textWithout, "idleTimeoutMs: 1800,");
      });
      await t.step(
        "It has headings, and a named life line for each connection",
        () => {
          assertMatch(seen.title, /^Connections to 127\.0\.0\.1:\d+$/);
          for (
            const heading of [
              "Summary",
              "Settings to copy",
              "Life lines",
              "Deaths by moment",
            ]
          ) assert(seen.headings.includes(heading), heading);
          assertEquals(seen.lines.length, 7); // and the histogram
          assertMatch(
            seen.lines[0]!,
            /^Connection 1, idle, never used: ended \d+ times, /,
          );
        },
      );
      await t.step("The keyboard leads from a mark to its moment", () => {
        assertMatch(seen.mark, /connections? ended: /);
        assertEquals(seen.hash, "#m1");
      });
      await t.step(
        "Times are in the reader's zone, and in UTC without a script",
        () => {
          const { Berlin, Kathmandu, without } = seen.times;
          assertMatch(without, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
          const hours = (text: string) =>
            Date.parse(`${text.slice(0, 19)}Z`) / 3_600_000;
          assertEquals(hours(Kathmandu) - hours(without), 5.75);
          assert([1, 2].includes(hours(Berlin) - hours(without)));
        },
      );
      await t.step("The JSON lines make the same page", async () => {
        const { code, stdout } = await verify([
          "report",
          `${folder}/night.jsonl`,
          "--out",
          `${folder}/again.html`,
        ]);
        assertEquals([code, stdout], [0, `${folder}/again.html\n`]);
        assertEquals(
          await Deno.readTextFile(`${folder}/again.html`),
          await Deno.readTextFile(report),
        );
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
