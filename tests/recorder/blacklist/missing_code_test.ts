// A blacklist whose code cannot be loaded, such as from a deployment that was replaced.
import "../../support/strict.ts";
import { assertEquals } from "@std/assert";

const resolve = (specifier: string) => import.meta.resolve(specifier);

/** Runs a program that has everything but the module that decides. */
async function run(program: string): Promise<string> {
  const names = ["@std/async/delay", "@std/uuid/v5"];
  const map = {
    imports: {
      ...Object.fromEntries(names.map((name) => [name, resolve(name)])),
      [resolve("../../../recorder/blacklist/decisions.ts")]: resolve(
        "./not_there.ts",
      ),
    },
  };
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--no-config",
      "--quiet",
      `--import-map=data:application/json,${
        encodeURIComponent(JSON.stringify(map))
      }`,
      program,
    ],
  }).output();
  const text = new TextDecoder();
  return text.decode(stdout) + text.decode(stderr);
}

Deno.test("If the code that decides cannot be loaded, an event is recorded nevertheless", async () => {
  const printed = await run(`
    const { Blacklist, WebhookRecorder } = await import("${
    resolve("../../../mod.ts")
  }");
    const redis = {
      origin: { hostname: "nowhere", port: 1, database: 0 },
      isClosed: false,
      send: () => Promise.resolve(1),
    };
    const recorder = new WebhookRecorder(redis);
    const event = { mallId: "mall", shopNo: 7, eventType: "orders" };
    for (const whenAway of ["allow", "deny"]) {
      const blacklist = new Blacklist(recorder, {
        limit: 1, windowSeconds: 60, blockSeconds: 60, whenAway,
      });
      const { error, ...decision } = await blacklist.record(event);
      console.log(JSON.stringify(decision), error.name);
    }
    await recorder.close();
  `);
  const outcome = '{"outcome":{"status":"recorded","count":1},"isBlocked":';
  assertEquals(printed.split("\n"), [
    `${outcome}false} TypeError`,
    `${outcome}true,"retryAfterSeconds":1} TypeError`,
    "",
  ]);
});
