// The part of Cloudflare's types that these Workers need. `npx wrangler types` writes all of them.
import type { DurableObjectStorageLike } from "@unzombie/redis/outbox/durable-object";

/** What a request may leave to be done after its answer. */
export interface ExecutionContext {
  waitUntil(work: Promise<unknown>): void;
}

/** A queue, for those who send to it. */
export interface Queue<Body> {
  send(body: Body): Promise<unknown>;
}

/** Messages of a queue, for those who consume them. */
export interface MessageBatch<Body> {
  readonly messages: readonly {
    /** The same at each delivery. */
    readonly id: string;
    /** When it was sent. */
    readonly timestamp: Date;
    readonly body: Body;
    ack(): void;
    retry(options?: { delaySeconds?: number }): void;
  }[];
}

/** What an object has of its own. */
export interface DurableObjectState {
  readonly storage: DurableObjectStorageLike & {
    getAlarm(): Promise<number | null>;
    setAlarm(at: number): Promise<void>;
  };
}

/** Objects of one class, each with a name. */
export interface DurableObjectNamespace {
  idFromName(name: string): unknown;
  get(id: unknown): { fetch(request: Request): Promise<Response> };
}
