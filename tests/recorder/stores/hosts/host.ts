// A process that has a store of queued events, as a test uses it.
import type {
  OutboxStore,
  StoredEvent,
} from "../../../../recorder/outbox/outbox_store.ts";
import type { Call, Raw, Result } from "./serve.ts";

/** A process that has stores. */
export interface Host extends AsyncDisposable {
  /** Where it listens. */
  readonly url: string;
  /** Kills it with SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again, on the same data. */
  start(): Promise<void>;
}

/** A store in a host. */
export class RemoteStore implements OutboxStore {
  readonly #host: Host;
  readonly #path: string;

  /** @param path The prefix, and options as a query. */
  constructor(host: Host, path: string) {
    this.#host = host;
    this.#path = path;
  }

  /** Makes calls one right after the other. */
  async together(...calls: Call[]): Promise<Result[]> {
    const response = await fetch(`${this.#host.url}/${this.#path}`, {
      method: "POST",
      body: JSON.stringify(calls),
    });
    return await response.json();
  }

  async load(): Promise<StoredEvent[]> {
    return await this.#call("load") as StoredEvent[];
  }

  async append(entries: readonly StoredEvent[]): Promise<void> {
    await this.#call("append", entries);
  }

  async remove(ids: readonly string[]): Promise<void> {
    await this.#call("remove", ids);
  }

  async setAside(ids: readonly string[], reason: string): Promise<void> {
    await this.#call("setAside", ids, reason);
  }

  /** All that is beneath the store. */
  async raw(): Promise<Raw> {
    return await this.#call("raw.list") as Raw;
  }

  /** Puts a value beneath the store. */
  async rawPut(name: string, value: unknown): Promise<void> {
    await this.#call("raw.put", name, value);
  }

  async #call(...call: Call): Promise<unknown> {
    const [result] = await this.together(call);
    if ("value" in result!) return result.value;
    const { name, message } = result!.error;
    throw Object.assign(new Error(message), { name });
  }
}
