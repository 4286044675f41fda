// What every store of queued events must do that is kept by a process: steps of a test.
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { StoredEvent } from "../../../recorder/outbox/outbox_store.ts";
import { type Host, RemoteStore } from "./hosts/host.ts";

let made = 0;

/** A queued event with an id of its own, later than those before. */
export function storedEvent(
  members = 1,
  eventType = "orders/create",
): StoredEvent {
  const id = `${String(++made).padStart(12, "0")}-${
    crypto.randomUUID().slice(0, 8)
  }`;
  return {
    id,
    key: `webhook_frequency_mall_1_${eventType}`,
    score: 1_700_000_000 + made,
    members: Array.from({ length: members }, () => crypto.randomUUID()),
    event: { mallId: "mall", shopNo: 1, eventType, deliveryId: `d${made}` },
  };
}

export const storedEvents = (count: number): StoredEvent[] =>
  Array.from({ length: count }, () => storedEvent());

const idsOf = (entries: readonly StoredEvent[]): string[] =>
  entries.map(({ id }) => id);

/** Runs the steps of the contract on stores of a host, each in a store of its own. */
export async function keepsContract(
  host: Host,
  t: Deno.TestContext,
): Promise<void> {
  const step = (
    name: string,
    fn: (store: RemoteStore) => Promise<void>,
    query = "",
  ) => t.step(name, () => fn(new RemoteStore(host, `store${++made}${query}`)));
  const restart = async () => {
    await host.kill();
    await host.start();
  };

  await step("an empty store has no events", async (store) => {
    assertEquals(await store.load(), []);
    await store.append([]);
    await store.remove([]);
    assertEquals(await store.raw(), []);
  });

  await step(
    "what was appended is there after a kill, oldest first",
    async (store) => {
      const entries = storedEvents(20);
      await store.append(entries.slice(10));
      await store.append(entries.slice(0, 10));
      await restart();
      assertEquals(await store.load(), entries);
    },
  );

  await step(
    "events are removed by id, after a kill as well",
    async (store) => {
      const entries = storedEvents(6);
      await store.append(entries);
      await store.remove([...idsOf(entries.slice(0, 2)), "0-not-there"]);
      assertEquals(await store.load(), entries.slice(2));
      await restart();
      await store.remove(idsOf(entries.slice(2, 5)));
      assertEquals(await store.load(), entries.slice(5));
      await store.remove(idsOf(entries));
      assertEquals(await store.raw(), []);
    },
  );

  await step(
    "an event of 10,000 members comes and goes as a whole",
    async (store) => {
      const entries = [storedEvent(), storedEvent(10_000), storedEvent()];
      for (const entry of entries) await store.append([entry]);
      assertEquals(await store.load(), entries);
      assert((await store.raw()).length > 3);
      await restart();
      await store.remove([entries[1]!.id]);
      assertEquals((await store.raw()).length, 2);
      await store.append([entries[1]!]);
      await store.remove(idsOf(entries));
      assertEquals(await store.raw(), []);
    },
  );

  await step("a text of any characters comes back as it was", async (store) => {
    const eventType = '주문/생성 \u0000 é \u{1f9df} \ud800 "\\u0041\n';
    const entries = [
      storedEvent(1, eventType),
      storedEvent(1500, eventType.repeat(50)),
    ];
    await store.append(entries);
    assertEquals(await store.load(), entries.map((entry) => entry));
  });

  await step(
    "a thousand events are loaded once each, and removed",
    async (store) => {
      const entries = storedEvents(1000);
      await store.append(entries);
      assertEquals(await store.load(), entries);
      await store.remove(idsOf(entries));
      assertEquals(await store.raw(), []);
    },
  );

  await step("calls that overlap take effect in their order", async (store) => {
    const [a, b, c] = storedEvents(3) as [
      StoredEvent,
      StoredEvent,
      StoredEvent,
    ];
    const results = await store.together(
      ["append", [a, b]],
      ["remove", [a.id]],
      ["append", [c]],
      ["remove", [c.id]],
      ["load"],
    );
    assertEquals(results.at(-1), { value: [b] });
  });

  await step(
    "what is no event of the store is handed out, never removed, and hides no event",
    async (store) => {
      const entries = [storedEvent(), storedEvent(5000), storedEvent()];
      await store.append(entries);
      const torn = storedEvent(5000);
      await store.append([torn]);
      const [lastPart] = (await store.raw()).at(-1)!;
      const foreign = [
        ["queued/0", "text"],
        ["queued/0000#0000", { bytes: '{"id":"000' }],
        ["queued/0001#0000", { bytes: "null" }],
        ["queued/0002#0000", { bytes: JSON.stringify(entries[0]) }],
        ["queued/0003#0000", { id: "0003" }],
        ["queued/zzz", 5],
        [lastPart, { bytes: "other" }],
      ] as const;
      for (const [name, value] of foreign) await store.rawPut(name, value);
      const loaded = await store.load();
      const isOurs = ({ id }: StoredEvent) => /^[0-9a-z-]{1,40}$/.test(id);
      assertEquals(loaded.filter(isOurs), entries);
      assertEquals(
        idsOf(loaded.filter((entry) => !isOurs(entry))).sort(),
        [
          ...foreign.slice(0, -1).map(([name]) => name),
          `queued/${torn.id}#0000`,
        ].sort(),
      );
      await store.remove(idsOf(entries));
      const left = new Map(await store.raw());
      for (const [name, value] of foreign) assertEquals(left.get(name), value);
    },
  );

  await step(
    "an event that is set aside is not loaded, and stays for a person with the reason",
    async (store) => {
      const entries = [storedEvent(), storedEvent(5000), storedEvent()];
      await store.append(entries);
      const [first, long] = entries as [StoredEvent, StoredEvent];
      await store.setAside(
        [first.id, long.id, "0-not-there"],
        "WRONGTYPE is why",
      );
      assertEquals(await store.load(), entries.slice(2));
      const raw = await store.raw();
      assert(raw.every(([name]) => /^aside\/|^queued\//.test(name)));
      const textOf = (id: string) =>
        raw.filter(([name]) => name.startsWith(`aside/${id}#`))
          .map(([, value]) => (value as { bytes: string }).bytes).join("");
      assertEquals(JSON.parse(textOf(first.id)), first);
      assertEquals(JSON.parse(textOf(long.id)), long);
      const note = new Map(raw).get(`aside/${first.id}`) as string;
      assertEquals(JSON.parse(note).reason, "WRONGTYPE is why");
      await restart();
      assertEquals(await store.load(), entries.slice(2));
    },
  );

  await step(
    "a store that is full says so, stores none of what is too much, and takes events again once there is room",
    async (store) => {
      const entries = storedEvents(20);
      await store.append(entries);
      await assertRejects(
        () => store.append([storedEvent(200)]),
        Error,
        "Cannot store 1 event of 8 KiB: ",
      );
      await restart();
      const error = await assertRejects(
        () => store.append([storedEvent(), storedEvent(200)]),
        Error,
      );
      assert(
        / holds \d KiB of at most 10 KiB \(maxBytes\)$/.test(error.message),
        error.message,
      );
      assertEquals(await store.load(), entries);
      await store.remove(idsOf(entries));
      const next = storedEvent(200);
      await store.append([next]);
      assertEquals(await store.load(), [next]);
    },
    "?maxBytes=10240",
  );

  await step(
    "every append that was acknowledged before a kill is whole, and any other one is whole or not there",
    async (store) => {
      const appended = Array.from({ length: 200 }, () => storedEvents(20));
      const acknowledged = new Set<string>();
      const appending = (async () => {
        for (const entries of appended) {
          await store.append(entries);
          for (const { id } of entries) acknowledged.add(id);
        }
      })();
      const stopped = appending.then(() => "done", () => "killed");
      while (acknowledged.size < 400) {
        await new Promise((go) => setTimeout(go, 1));
      }
      await host.kill();
      assertEquals(await stopped, "killed");
      await host.start();
      const found = new Set(idsOf(await store.load()));
      assert([...acknowledged].every((id) => found.has(id)));
      for (const entries of appended) {
        const there = entries.filter(({ id }) => found.has(id)).length;
        assert(there === 0 || there === entries.length, `${there}`);
      }
    },
  );
}
