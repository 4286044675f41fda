// That a process lives for as long as something is owed to it and no longer, and that its queued events outlive it.
import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { Child, type End, type Host } from "./child.ts";
import { FakeServer } from "../support/fake_server.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { freePort } from "../support/free_port.ts";
import { startRedis } from "../support/redis_server.ts";

const KEY = "webhook_frequency_lives_1_orders";
/** A process with nothing to do ends within this time, on a busy machine, too. */
const SOON_MS = 2500;

async function lifeOf(host: Host, ...args: string[]): Promise<End> {
  await using child = await Child.start(host, ...args);
  return await child.end();
}

/** Registers the tests of a runtime. `others` go on with what it has left. */
export function testLives(host: Host, others: readonly Host[] = [host]): void {
  const { label, ignore } = host;

  Deno.test(`${label}: a process ends with its last reply, and not before`, {
    ignore,
  }, async (t) => {
    await using server = await startRedis({ tls: true });
    await using silent = new FakeServer(() => {});
    await using proxy = await startProxy({ target: server });
    const step = (
      name: string,
      life: () => Promise<End>,
      check: (end: End) => void,
    ) => {
      const ended = life();
      ended.catch(() => {});
      return () =>
        t.step(name, async () => {
          const end = await ended;
          check(end);
          if (end.lines.length === 0) return;
          assertLess(end.afterLastLineMs, SOON_MS, JSON.stringify(end));
        });
    };
    const says = (line: string, atLeastMs = 0, code = 0) => (end: End) => {
      assertEquals([end.lines.at(-1), end.code], [line, code]);
      assertGreater(end.ms, atLeastMs);
    };
    const refused = `redis://127.0.0.1:${freePort()}`;
    const steps = [
      step(
        "an idle client keeps no process alive",
        () => lifeOf(host, "idle", server.url),
        says("reply PONG"),
      ),
      step(
        "an idle client with TLS keeps no process alive",
        () => lifeOf(host, "idle", server.tlsUrl, server.caCert),
        says("reply PONG"),
      ),
      step(
        "an idle recorder keeps no process alive",
        () => lifeOf(host, "recorder", server.url),
        says("reply recorded"),
      ),
      step(
        "a reply that is owed keeps it alive until the time is up",
        async () => {
          await using child = await Child.start(
            host,
            "owed",
            proxy.url,
            "700",
          );
          await child.lines.next();
          proxy.silence();
          return await child.end();
        },
        says("ConnectionClosedError unknown", 1200),
      ),
      step(
        "a dial keeps it alive until the time is up",
        () => lifeOf(host, "dial", `redis://${silent.address}`, "700"),
        says("DialError unsent", 700),
      ),
      step(
        "so does a dial with TLS",
        () => lifeOf(host, "dial", `rediss://${silent.address}`, "700"),
        says("DialError unsent", 700),
      ),
      step(
        "a wait between attempts keeps it alive",
        () => lifeOf(host, "retry", refused),
        says("RetryError unsent", 50),
      ),
      step(
        "a command that blocks keeps it alive",
        () => lifeOf(host, "block", server.url, "1"),
        says("reply null", 1000),
      ),
      step(
        "an error that is not handled ends it",
        () => lifeOf(host, "unhandled", refused),
        ({ code, lines }) => {
          assertEquals(code, 1);
          assertEquals(lines, []);
        },
      ),
      step(
        "a client that is closed ends what is owed, and the process",
        () => lifeOf(host, "closed", server.url),
        says("ConnectionClosedError unknown", 100),
      ),
    ];
    for (const run of steps) await run();
  });

  for (const other of others) {
    const on = other === host
      ? "the next process"
      : `a process of ${other.label}`;
    Deno.test(
      `${label}: what is queued in a file survives kill -9, and ${on} sends it, each event once`,
      { ignore: ignore || other.ignore },
      async () => {
        await using server = await startRedis();
        const dir = await Deno.makeTempDir();
        try {
          const path = `${dir}/queued.log`;
          const refused = `redis://127.0.0.1:${freePort()}`;
          const promised: string[] = [];
          for (let round = 0; round < 2; round++) {
            await using child = await Child.start(
              host,
              "queue",
              refused,
              path,
              `${1000 * round}`,
            );
            for await (const line of child.lines) {
              const [status, member] = line.split(" ");
              assertEquals(status, "queued");
              // Some are on their way to the disk.
              if (promised.push(member!) % 40 === 0) child.kill();
            }
            assertEquals((await child.end()).code > 128, true);
          }
          const { code, lines } = await lifeOf(other, "send", server.url, path);
          assertEquals([code, lines], [0, ["pending 0"]]);
          const found = (await server.cli("ZRANGE", KEY, 0, -1)).split("\n");
          assert(promised.length >= 80);
          assertEquals(
            promised.filter((member) => !found.includes(member)),
            [],
          );
          // The one of each round that was killed before it was answered may be there.
          assert(found.length <= promised.length + 2, `${found.length}`);
          const again = await lifeOf(other, "send", server.url, path);
          assertEquals([again.code, again.lines], [0, ["pending 0"]]);
          assertEquals(
            await server.cli("ZCARD", KEY),
            `${found.length}`,
          );
        } finally {
          await Deno.remove(dir, { recursive: true });
        }
      },
    );
  }
}
