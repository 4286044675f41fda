// That a server is reached by its Unix socket as it is by its port.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { DialError, Redis } from "../../../mod.ts";
import { importFlags } from "../../support/imports.ts";
import { startRedis } from "../../support/redis_server.ts";

const modUrl = new URL("../../../mod.ts", import.meta.url).href;

async function inDirectory(
  test: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("A server is reached by its socket, with password, database and name", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/redis.sock`;
    await using server = await startRedis({
      password: "s3cr3t/%",
      config: { unixsocket: path },
    });
    await server.cli("ACL", "SETUSER", "app", "on", ">p@w", "~*", "+@all");
    const urls: [string, string][] = [
      [`unix://:s3cr3t%2F%25@${path}?database=3&clientName=me`, "default"],
      [`redis+unix://app:p%40w@${path}?database=3&clientName=me`, "app"],
    ];
    for (const [url, user] of urls) {
      await using redis = new Redis(url);
      assertEquals(await redis.send(["ACL", "WHOAMI"]), user);
      const info = String(await redis.send(["CLIENT", "INFO"]));
      assertMatch(info, / flags=\w*U/);
      assertStringIncludes(info, " name=me ");
      assertStringIncludes(info, " db=3 ");
      assertStringIncludes(Deno.inspect(redis), `unix://${path}`);
      assertFalse(Deno.inspect(redis, { depth: 9 }).includes("s3cr3t"));
      assertEquals(redis.origin.hostname, path);

      const value = "x".repeat(2_000_000);
      await redis.send(["SET", "key", value]);
      assert(await redis.send(["GET", "key"]) === value);
      await server.cli("CLIENT", "KILL", "TYPE", "normal");
      assertEquals(await redis.send(["STRLEN", "key"]), value.length);
      assertEquals(redis.stats().dialed, 2);
    }
  });
});

Deno.test("A socket that is not there, or has no server, is named as such", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/redis.sock`;
    const refusal = async () => {
      await using redis = new Redis(`unix://${path}`, { retry: false });
      return await assertRejects(() => redis.send(["PING"]), DialError);
    };
    const missing = await refusal();
    assertEquals([missing.phase, missing.isRetriable], ["connect", true]);
    assertEquals(
      missing.message,
      `Cannot connect to unix://${path}: there is no such socket`,
    );
    // A socket outlives the server that was killed.
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [
        "eval",
        `Deno.listen({ transport: "unix", path: ${
          JSON.stringify(path)
        } }); Deno.exit(7);`,
      ],
    }).output();
    assertEquals(code, 7);
    const dead = await refusal();
    assertEquals([dead.phase, dead.isRetriable], ["connect", true]);
    assertStringIncludes(dead.message, "no server listens on that socket");
  });
});

Deno.test("A socket asks for the permission to read and write its path, and names it", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/redis.sock`;
    await using _server = await startRedis({ config: { unixsocket: path } });
    const run = async (...permissions: string[]) => {
      const program = `${directory}/program.ts`;
      await Deno.writeTextFile(
        program,
        `import { Redis } from ${JSON.stringify(modUrl)};
         const redis = new Redis(${JSON.stringify(`unix://${path}`)});
         console.log(await redis.send(["PING"]).catch((error) => error.message));
         await redis.close();`,
      );
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", ...importFlags, ...permissions, program],
        cwd: new URL("../../..", import.meta.url),
      }).output();
      return new TextDecoder().decode(stdout).trim();
    };
    const flags = [`--allow-read=${path}`, `--allow-write=${path}`];
    const [major = 0, minor = 0] = Deno.version.deno.split(".").map(Number);
    const net = major > 2 || minor >= 9 ? [`--allow-net=unix:${path}`] : [];
    assertEquals(await run(...flags, ...net), "PONG");
    for (const some of [[], flags.slice(0, 1), net]) {
      const message = await run(...some);
      assertStringIncludes(message, "Deno has no permission, run with ");
      for (const flag of [...flags, ...net]) {
        assertStringIncludes(message, flag);
      }
    }
  });
});
