// That the module works as users get it: from JSR in Deno, and from JSR's registry for npm elsewhere.

import "./support/strict.ts";
import { assert, assertEquals } from "@std/assert";
import { deliver } from "./examples/worker/deliveries.ts";
import { importFlags } from "./support/imports.ts";
import { dryRun } from "./support/published/own_package.ts";
import {
  canPack,
  INSTALL_LIMIT_MS,
  Project,
  startRegistry,
} from "./support/published/project.ts";
import { startRedis } from "./support/redis_server.ts";
import { programForTests, toolModules } from "./support/tools.ts";
import { ignore as hasNoWorkerd, Workerd } from "./support/workerd.ts";

const { ignore: hasNoTools } = await programForTests("node24");
const ignore = hasNoTools || !canPack;

const ROOT = new URL("../", import.meta.url);
const { exports } = JSON.parse(
  Deno.readTextFileSync(new URL("deno.json", ROOT)),
) as { exports: Record<string, string> };
/** The entry points, as they are imported. The command line is a program, and Deno's alone. */
const ENTRIES = Object.keys(exports).filter((name) => name !== "./verify")
  .map((name) => `@unzombie/redis${name.slice(1)}`);

/** A program that imports each entry point, and uses the main one. */
const programOf = (prefix: string): string => `
import { Redis, WebhookRecorder } from "${prefix}@unzombie/redis";
const redis = new Redis(process.env.REDIS_URL);
const recorder = new WebhookRecorder(redis);
const event = { mallId: "mall", shopNo: 1, eventType: "orders", deliveryId: "1" };
const { status } = await recorder.record(event);
await recorder.close();
await redis.close();
const names = {};
for (const name of ${JSON.stringify(ENTRIES)}) {
  names[name] = Object.keys(await import("${prefix}" + name)).length;
}
console.log(JSON.stringify({ status, names }));
`;

/** What the program says: a number of names for each entry point, and that the event is recorded. */
function assertWorks(output: string): void {
  const { status, names } = JSON.parse(output);
  assertEquals([status, Object.keys(names)], ["recorded", ENTRIES]);
  assert(Object.values(names).every((count) => count !== 0), output);
}

Deno.test({
  name:
    "./dev registry serves the module to Deno and npm, and says how to use it",
  ignore,
  timeout: INSTALL_LIMIT_MS,
  async fn() {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...importFlags, "tests/registry.ts"],
      cwd: ROOT,
      stdout: "piped",
    }).spawn();
    let said = "";
    for await (
      const text of process.stdout.pipeThrough(new TextDecoderStream())
    ) {
      said += text;
      if (!said.includes("bunx")) continue;
      const [, url] = /^ +export JSR_URL=(\S+)$/m.exec(said)!;
      assert(said.includes(`@jsr:registry=${url}`), said);
      for (
        const path of ["@unzombie/redis/meta.json", "@jsr/unzombie__redis"]
      ) {
        const { ok, body } = await fetch(url + path);
        await body?.cancel();
        assert(ok, path);
      }
      process.kill();
    }
    await process.status;
  },
});

Deno.test({
  name:
    "The module can be published, with the one warning of what bundlers are not to read",
  ignore,
  timeout: INSTALL_LIMIT_MS,
  async fn() {
    await using registry = await startRegistry();
    const { warnings, paths } = await dryRun(registry.url);
    assertEquals(warnings, ["unanalyzable-dynamic-import"]);
    const inside = Object.values(exports).map((path) => path.slice(1));
    assertEquals(inside.filter((path) => !paths.includes(path)), []);
    assertEquals(paths.filter((path) => /^\/(?:tests|npm|\.)/.test(path)), []);
  },
});

Deno.test({
  name: "Deno imports each entry point from JSR",
  ignore,
  timeout: INSTALL_LIMIT_MS,
  async fn() {
    await using server = await startRedis();
    await using registry = await startRegistry();
    await using project = await Project.create();
    const main = await project.write(
      "main.js",
      `import process from "node:process";\n${programOf("jsr:")}`,
    );
    const env = {
      REDIS_URL: server.url,
      JSR_URL: registry.url,
      DENO_DIR: `${project.folder}/cache`,
    };
    const { out } = await project.run(
      "deno",
      ["run", "--quiet", "-A", "--no-config", main],
      env,
    );
    assertWorks(out);
    const { out: help } = await project.run(
      "deno",
      ["run", "--quiet", "--no-config", "jsr:@unzombie/redis/verify", "--help"],
      env,
    );
    assert(help.includes("verify watch"), help);
  },
});

for (const runtime of ["node22", "node24", "bun"] as const) {
  Deno.test({
    name: `The package for npm works on ${runtime}`,
    ignore,
    timeout: INSTALL_LIMIT_MS,
    async fn() {
      await using server = await startRedis();
      await using project = await Project.create();
      const main = await project.write("main.js", programOf(""));
      const { out } = await project.run(runtime, [main], {
        REDIS_URL: server.url,
      });
      assertWorks(out);
    },
  });
}

Deno.test({
  name:
    "A project in TypeScript needs the types of no runtime to use the package for npm",
  ignore,
  timeout: INSTALL_LIMIT_MS,
  async fn() {
    await using project = await Project.create();
    const imports = ENTRIES.map((name, i) =>
      `import * as _${i} from "${name}";`
    );
    await project.write(
      "main.ts",
      `${imports.join("\n")}
import { Redis } from "@unzombie/redis";
const redis = new Redis("redis://127.0.0.1");
const value: string | null = await redis.send(["GET", "key"]);
// @ts-expect-error a number is no string
const wrong: string = await redis.send(["LLEN", "key"]);
console.log(value, wrong);
`,
    );
    for (const [module, moduleResolution] of RESOLUTIONS) {
      await project.write(
        "tsconfig.json",
        JSON.stringify({
          compilerOptions: {
            module,
            moduleResolution,
            target: "es2024",
            lib: ["es2024", "esnext.disposable", "dom", "dom.iterable"],
            types: [],
            strict: true,
            exactOptionalPropertyTypes: true,
            skipLibCheck: false,
            noEmit: true,
          },
          files: ["main.ts"],
        }),
      );
      await project.run("node24", [`${toolModules}typescript/bin/tsc`]);
    }
  },
});

/** Of tsc: what Node does, and what bundlers do. */
const RESOLUTIONS = [["nodenext", "nodenext"], ["esnext", "bundler"]] as const;

Deno.test({
  name:
    "wrangler builds a Worker of the examples with the package for npm without a warning, and what it makes runs",
  ignore: ignore || hasNoWorkerd,
  async fn() {
    await using server = await startRedis();
    await using project = await Project.create();
    await project.copy("examples/worker/");
    const { out, log } = await project.run("node24", [
      `${toolModules}wrangler/bin/wrangler.js`,
      "deploy",
      "--dry-run",
      "--outdir=dist",
      "--config=durable_object.jsonc",
    ], { HOME: project.folder, WRANGLER_SEND_METRICS: "false" });
    assertEquals(/warn/i.exec(out + log), null, out + log);
    await using workerd = await Workerd.start({
      workers: [{
        name: "main",
        code: await Deno.readTextFile(
          `${project.folder}/dist/durable_object.js`,
        ),
        texts: { REDIS_URL: server.url },
        durableObjects: { WEBHOOKS: "Webhooks" },
      }],
    });
    assertEquals(await deliver(workerd.url, 0, 3), { 200: 3 });
  },
});
