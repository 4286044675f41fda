// Serves a store of queued events over HTTP, for a test in another process. It runs on Deno and in workerd.
import type { Redis } from "../../../../client/redis.ts";
import type { OutboxStore } from "../../../../recorder/outbox/outbox_store.ts";
import { WebhookRecorder } from "../../../../recorder/recorder.ts";

/** What a host has under the keys of a store: names without the prefix, and values. */
export type Raw = [name: string, value: unknown][];

/** A store, and what is beneath it. */
export interface Served {
  readonly store: OutboxStore;
  readonly raw: {
    list(): Promise<Raw>;
    put(name: string, value: unknown): Promise<unknown>;
  };
  /** A recorder that has the store as its outbox. */
  readonly recorder?: WebhookRecorder | undefined;
}

/** A recorder that has a store as its outbox. */
export const recorderFor = (
  redis: Redis,
  outbox: OutboxStore,
): WebhookRecorder =>
  new WebhookRecorder(redis, { outbox, onError: () => {}, deadlineMs: 200 });

/** A call of a store or of what is beneath it. */
export type Call = readonly [method: string, ...args: unknown[]];

/** What a call has come to. */
export type Result =
  | { readonly value: unknown }
  | { readonly error: { readonly name: string; readonly message: string } };

/** Makes the calls of a request, one right after the other, and answers with their results. */
export async function serve(
  request: Request,
  served: Served,
): Promise<Response> {
  const calls = await request.json() as Call[];
  return Response.json(
    await Promise.all(calls.map((call) => make(call, served))),
  );
}

async function make([method, ...args]: Call, served: Served): Promise<Result> {
  try {
    const value = await methodOf(method, served)(...args);
    return { value: value ?? null };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: { name, message } };
  }
}

type Method = (...args: unknown[]) => unknown;

function methodOf(name: string, { store, raw, recorder }: Served): Method {
  if (name === "load") return async () => Array.fromAsync(await store.load());
  if (name === "record") {
    return async (second) => {
      const event = { ...EVENT, receivedAt: second as number * 1000 };
      return (await recorder!.record(event)).status;
    };
  }
  if (name === "pending") return () => recorder!.pending;
  const target = name.startsWith("raw.") ? raw : store;
  const methods = target as unknown as Record<string, Method>;
  return methods[name.replace("raw.", "")]!.bind(target);
}

/** What is recorded, at different times. */
const EVENT = { mallId: "mall", shopNo: 1, eventType: "orders" };

/** The key of what is recorded. */
export const EVENT_KEY = "webhook_frequency_mall_1_orders";

/** A value as JSON has it: bytes as their text. */
export const toJson = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? { bytes: new TextDecoder().decode(value) }
    : value;

/** The value of {@linkcode toJson}. */
export const fromJson = (value: unknown): unknown => {
  const { bytes } = value as { bytes?: string } ?? {};
  return bytes === undefined ? value : new TextEncoder().encode(bytes);
};
