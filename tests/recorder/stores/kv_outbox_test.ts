// Events in Deno KV: a real database file, used by processes that have --unstable-kv.
import "../../support/strict.ts";
import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { KvOutbox } from "../../../recorder/stores/kv_outbox.ts";
import { importFlags } from "../../support/imports.ts";
import { keepsContract, storedEvent, storedEvents } from "./contract.ts";
import { RemoteStore } from "./hosts/host.ts";
import { startKv } from "./hosts/start_kv.ts";
import { survivesKills } from "./survival.ts";

/** A file in a directory of its own, which is removed in the end. */
async function tempFile(): Promise<AsyncDisposable & { path: string }> {
  const dir = await Deno.makeTempDir();
  return {
    path: `${dir}/kv.sqlite3`,
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}

Deno.test("KvOutbox keeps events through kills, as a store must", async (t) => {
  await using file = await tempFile();
  await using host = await startKv(file.path);
  await keepsContract(host, t);
});

Deno.test("KvOutbox stores what does not fit into one transaction in several", async () => {
  await using file = await tempFile();
  await using host = await startKv(file.path);
  const store = new RemoteStore(host, "long".repeat(200));
  const entries = [
    ...storedEvents(500),
    ...Array.from({ length: 10 }, () => storedEvent(4000)),
  ];
  await store.append(entries);
  assertEquals(await store.load(), entries);
  await store.remove(entries.map(({ id }) => id));
  assertEquals(await store.raw(), []);
});

Deno.test("KvOutbox refuses an event that no transaction can hold, and those that are appended with it", async () => {
  await using file = await tempFile();
  await using host = await startKv(file.path);
  const store = new RemoteStore(host, "store");
  await assertRejects(
    () => store.append([storedEvent(), storedEvent(25_000)]),
    Error,
    "and a transaction of Deno KV at most 800000",
  );
  assertEquals(await store.raw(), []);
  const largest = storedEvent(20_000);
  await store.append([largest]);
  await store.setAside([largest.id], "reason");
  assertEquals(await store.load(), []);
});

Deno.test("Two processes share a KvOutbox: both find all events, and both may remove them", async () => {
  await using file = await tempFile();
  await using first = await startKv(file.path);
  await using second = await startKv(file.path);
  const stores = [first, second].map((host) => new RemoteStore(host, "shared"));
  const entries = storedEvents(1000);
  await Promise.all(stores.map(async (store, i) => {
    for (let at = i * 50; at < 1000; at += 100) {
      await store.append(entries.slice(at, at + 50));
    }
  }));
  for (const store of stores) assertEquals(await store.load(), entries);
  const ids = entries.map(({ id }) => id);
  await Promise.all(stores.map(async (store) => {
    for (let at = 0; at < 1000; at += 100) {
      await store.remove(ids.slice(at, at + 100));
    }
  }));
  assertEquals(await stores[0]!.raw(), []);
});

Deno.test("Two processes that are killed again and again while Redis is away lose no event that is queued in Deno KV, and count none twice", async () => {
  await using file = await tempFile();
  await using first = await startKv(file.path);
  await using second = await startKv(file.path);
  await survivesKills([first, second]);
});

Deno.test("The example of KvOutbox runs where Deno KV is there", async () => {
  const module = new URL(
    "../../../recorder/stores/kv_outbox.ts",
    import.meta.url,
  );
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      "--doc",
      "--no-check",
      "--unstable-kv",
      ...importFlags,
      module.href,
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, 0, text);
  assertMatch(text, /ok \| 1 passed \| 0 failed/);
});

Deno.test("KvOutbox names the argument that is wrong", () => {
  const kv = { list: () => {}, atomic: () => {} } as never;
  assertThrows(
    () => new KvOutbox(undefined as never),
    TypeError,
    "Cannot make a KvOutbox: kv is undefined, expected an open Deno KV",
  );
  for (const prefix of [[], "a", [1], ["a".repeat(1000)]]) {
    assertThrows(
      () => new KvOutbox(kv, { prefix: prefix as never }),
      TypeError,
      "Cannot make a KvOutbox: prefix is ",
    );
  }
  assertThrows(
    () => new KvOutbox(kv, { maxBytes: -1 }),
    TypeError,
    "Cannot make a KvOutbox: maxBytes is -1",
  );
  assertThrows(
    () => new KvOutbox(kv, { maxEvents: 1 } as never),
    TypeError,
    'Cannot use option "maxEvents": expected one of prefix, maxBytes',
  );
});
