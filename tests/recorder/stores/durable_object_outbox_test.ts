// Events in the storage of a Durable Object: a real one, in workerd.
import "../../support/strict.ts";
import { assertThrows } from "@std/assert";
import { DurableObjectOutbox } from "../../../recorder/stores/durable_object_outbox.ts";
import { keepsContract } from "./contract.ts";
import type { Host } from "./hosts/host.ts";
import { startWorker } from "./hosts/start_worker.ts";
import { survivesKills } from "./survival.ts";
import { findWorkerd } from "./hosts/workerd.ts";

const workerd = await findWorkerd();
if ("reason" in workerd) {
  console.log(`Tests in workerd are skipped: ${workerd.reason}`);
}
const ignore = "reason" in workerd;
const program = "path" in workerd ? workerd.path : "";

/** Runs a test on a workerd with a directory of its own. */
async function withWorker(test: (host: Host) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await using host = await startWorker(program, dir);
    await test(host);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("DurableObjectOutbox keeps events through kills, as a store must", {
  ignore,
}, (t) => withWorker((host) => keepsContract(host, t)));

Deno.test(
  "A Durable Object whose process is killed again and again while Redis is away loses no event that is queued, and counts none twice",
  {
    ignore,
  },
  () => withWorker((host) => survivesKills([host])),
);

Deno.test("DurableObjectOutbox names the argument that is wrong", () => {
  const storage = { put: () => {}, sync: () => {} } as never;
  assertThrows(
    () => new DurableObjectOutbox(undefined as never),
    TypeError,
    "Cannot make a DurableObjectOutbox: storage is undefined, expected the ctx.storage of a Durable Object",
  );
  for (const prefix of [5, "a".repeat(501)]) {
    assertThrows(
      () => new DurableObjectOutbox(storage, { prefix: prefix as never }),
      TypeError,
      "Cannot make a DurableObjectOutbox: prefix is ",
    );
  }
  assertThrows(
    () => new DurableObjectOutbox(storage, { maxBytes: 1.5 }),
    TypeError,
    "Cannot make a DurableObjectOutbox: maxBytes is 1.5",
  );
});
