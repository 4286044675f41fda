// What flush() waits for.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { type Sender, WebhookRecorder } from "../../mod.ts";
import { keyOfShop, NOWHERE, ofShop } from "./doubles.ts";

Deno.test("flush() waits for the events accepted before it alone, each one of them", async () => {
  const held = new Map<string, () => void>();
  const sender: Sender = {
    ...NOWHERE,
    send: ([, key]) =>
      new Promise((resolve) => held.set(`${key}`, () => resolve(1))),
    pipeline: () => new Promise(() => {}),
  };
  const recorder = new WebhookRecorder(sender);
  const ended: string[] = [];
  const record = async (shopNo: number) => {
    recorder.record(ofShop(shopNo));
    await delay(0);
  };
  const flush = (name: string) =>
    void recorder.flush().then(() => ended.push(name));
  const answer = async (shopNo: number) => {
    held.get(keyOfShop(shopNo))!();
    await delay(0);
  };
  await record(1);
  await record(2);
  flush("first");
  await record(3);
  flush("second");
  flush("again");
  await record(4);
  await answer(2);
  assertEquals(ended, []);
  await answer(3);
  assertEquals(ended, []);
  await answer(1);
  assertEquals(ended, ["first", "second", "again"]);
  flush("third");
  await delay(0);
  assertEquals(ended.length, 3);
  const { signal } = new AbortController();
  let listeners = 0;
  signal.addEventListener = () => void listeners++;
  signal.removeEventListener = () => void listeners--;
  const flushed = recorder.flush({ signal });
  assertEquals(listeners, 1);
  await answer(4);
  assertEquals(ended.length, 4);
  await flushed;
  assertEquals(listeners, 0);
  await recorder.flush();
  await recorder.close();
});
