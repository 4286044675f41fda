// That each runtime is recognized by its globals.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { otherRuntime } from "../../../pool/socket/other_runtimes.ts";
import {
  type Globals,
  runtime,
  runtimeWith,
} from "../../../pool/socket/runtime.ts";

const NODE_24 = { navigator: { userAgent: "Node.js/24" }, process: {} };
const WORKERS = { navigator: { userAgent: "Cloudflare-Workers" } };

Deno.test("Each runtime is recognized by its globals", () => {
  for (
    const [globals, name] of [
      [{ Deno: {}, ...NODE_24 }, "Deno"],
      [{ Bun: {}, ...NODE_24 }, "Bun"],
      [WORKERS, "Cloudflare Workers"],
      [{ ...WORKERS, process: {} }, "Cloudflare Workers"],
      [NODE_24, "Node"],
      [{ process: {} }, "Node"],
      [{ navigator: { userAgent: "a test of web pages" } }, "Node"],
    ] as [Globals, string][]
  ) assertEquals(runtimeWith(globals), name);
});

Deno.test("On Deno neither process nor navigator is looked at", () => {
  assertEquals(runtime.name, "Deno");
  const seen: string[] = [];
  runtimeWith(
    new Proxy({ Deno: {} }, {
      get(target, name) {
        seen.push(String(name));
        return Reflect.get(target, name);
      },
    }),
  );
  assertEquals(seen, ["Deno"]);
});

Deno.test("Only on Workers is a client limited to one request", () => {
  assertEquals(runtime.newOneRequest, undefined);
  assertEquals(otherRuntime("Node").newOneRequest, undefined);
  assertEquals(otherRuntime("Bun").newOneRequest, undefined);
  assertEquals(
    typeof otherRuntime("Cloudflare Workers").newOneRequest,
    "function",
  );
});
