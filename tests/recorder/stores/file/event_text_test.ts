// That an event comes back from its text as it was.
import "../../../support/strict.ts";
import { assertEquals, assertMatch } from "@std/assert";
import { defaultKeyOf } from "../../../../recorder/entries/event.ts";
import type { StoredEvent } from "../../../../recorder/outbox/outbox_store.ts";
import {
  eventOf,
  textOf,
} from "../../../../recorder/stores/file/event_text.ts";

const event = { mallId: "mall", shopNo: 1, eventType: "orders/create" };
const stored: StoredEvent = {
  id: "0mf3k2x9a-1",
  key: defaultKeyOf(event),
  score: 1_780_000_000,
  members: ["6b8f0a6e"],
  event,
};

Deno.test("An event is a line of words: what is not there, and the default key, is a hyphen", () => {
  const cases: [StoredEvent, string][] = [
    [stored, "0mf3k2x9a-1 1780000000 - mall 1 orders/create - - 6b8f0a6e"],
    [
      {
        ...stored,
        key: "orders:mall",
        members: ["a", "b", "-1"],
        event: { ...event, deliveryId: "d-7", receivedAt: 1_780_000_000_123.5 },
      },
      "0mf3k2x9a-1 1780000000 orders:mall mall 1 orders/create d-7 1780000000123.5 a b -1",
    ],
    [
      { ...stored, event: { ...event, receivedAt: 0 } },
      "0mf3k2x9a-1 1780000000 - mall 1 orders/create - 0 6b8f0a6e",
    ],
  ];
  for (const [entry, text] of cases) {
    assertEquals(textOf(entry), text);
    assertEquals(eventOf(text), entry);
  }
});

Deno.test("An event with anything but words and numbers is kept as JSON, in ASCII, and comes back as it was", () => {
  const foreign: unknown[] = [
    { key: "two words" },
    { key: "" },
    { key: "-" },
    { key: 5 },
    { key: "한\u007f" },
    { score: -1e400 },
    { score: "5" },
    { members: [] },
    { members: ["-"] },
    { members: ["a", ""] },
    { members: ["a\nb"] },
    { members: [1] },
    { members: "abc" },
    { event: null },
    { event: "text" },
    { event: { ...event, mallId: "쇼핑몰" } },
    { event: { ...event, mallId: "-" } },
    { event: { ...event, shopNo: "1" } },
    { event: { ...event, shopNo: null } },
    { event: { ...event, eventType: "a b" } },
    { event: { ...event, deliveryId: "" } },
    { event: { ...event, deliveryId: "-" } },
    { event: { ...event, deliveryId: null } },
    { event: { ...event, deliveryId: undefined } },
    { event: { ...event, receivedAt: "1" } },
    { event: { ...event, other: 1 } },
    { event: { mallId: "mall", shopNo: 1, receivedAt: 1 } },
    { other: 1 },
  ];
  for (const part of foreign) {
    const entry = { ...stored, ...part as object };
    const text = textOf(entry);
    assertMatch(text, /^0mf3k2x9a-1 \{[ -~]*\}$/);
    assertEquals(eventOf(text), JSON.parse(JSON.stringify(entry)));
  }
});

Deno.test("Random events come back from text as they were", () => {
  const pick = <T>(...all: readonly T[]): T =>
    all[Math.floor(Math.random() * all.length)]!;
  const value = () =>
    pick<unknown>(
      "a",
      "-",
      "",
      " ",
      "{",
      "a b",
      "é",
      0,
      -0,
      1.5,
      1e21,
      null,
      true,
      ["a"],
      {},
    );
  for (let n = 0; n < 5000; n++) {
    const part = {
      [pick("key", "score", "members", "event", "other")]: value(),
    };
    const inner = {
      [
        pick(
          "mallId",
          "shopNo",
          "eventType",
          "deliveryId",
          "receivedAt",
          "other",
        )
      ]: value(),
    };
    const entry = {
      ...stored,
      event: { ...event, ...inner },
      ...pick({}, part),
    };
    entry.members = pick(entry.members, [pick("a", "{"), value() as string]);
    assertEquals(eventOf(textOf(entry)), JSON.parse(JSON.stringify(entry)));
  }
});
