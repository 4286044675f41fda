// A Worker whose Durable Object serves DurableObjectOutboxes. It runs in workerd.
import { Redis } from "../../../../client/redis.ts";
import {
  DurableObjectOutbox,
  type DurableObjectStorageLike,
} from "../../../../recorder/stores/durable_object_outbox.ts";
import { fromJson, recorderFor, serve, type Served, toJson } from "./serve.ts";

// What the platform limits and workerd on one's own machine does not:
// https://developers.cloudflare.com/durable-objects/api/legacy-kv-storage-api/
const MOST_KEYS = 128;
const LONGEST_KEY = 2048;
const LARGEST_VALUE = 128 * 1024;

/** A storage with the limits of the platform for key-value backends. */
function limited(storage: DurableObjectStorageLike): DurableObjectStorageLike {
  const check = (keys: string[]) => {
    if (keys.length > MOST_KEYS) throw new RangeError(`${keys.length} keys`);
    for (const key of keys) {
      if (key.length > LONGEST_KEY) throw new RangeError(`key ${key}`);
    }
  };
  return {
    list: (options) => storage.list(options),
    put: (entries) => {
      check(Object.keys(entries));
      for (const value of Object.values(entries)) {
        const { length = 0 } = value as { length?: number };
        if (length > LARGEST_VALUE) throw new RangeError(`${length} bytes`);
      }
      return storage.put(entries);
    },
    delete: (keys) => {
      check(keys);
      return storage.delete(keys);
    },
    sync: () => storage.sync(),
  };
}

interface Storage extends DurableObjectStorageLike {
  get(key: string): Promise<unknown>;
  setAlarm(at: number): Promise<void>;
}

/** Where the URL of the recorder is that an alarm wakes. */
const ALARM_KEY = "woken by alarm";
const ALARM_MS = 200;

export class Stores {
  readonly #storage: Storage;
  readonly #served = new Map<string, Served>();

  constructor(context: { storage: Storage }) {
    this.#storage = context.storage;
  }

  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const response = await serve(request, this.#servedAt(url));
    if (url.searchParams.has("alarm")) {
      await this.#storage.put({ [ALARM_KEY]: request.url });
      await this.#storage.setAlarm(Date.now() + ALARM_MS);
    }
    return response;
  }

  async alarm(): Promise<void> {
    const url = await this.#storage.get(ALARM_KEY) as string;
    const { recorder } = this.#servedAt(new URL(url));
    try {
      await recorder!.flush({ signal: AbortSignal.timeout(1000) });
    } catch {
      await this.#storage.setAlarm(Date.now() + ALARM_MS);
    }
  }

  /** The store of a URL: its path is the prefix. */
  #servedAt({ pathname, searchParams }: URL): Served {
    const known = this.#served.get(pathname);
    if (known !== undefined) return known;
    const prefix = `${pathname}/`;
    const maxBytes = searchParams.get("maxBytes");
    const redis = searchParams.get("redis");
    const store = new DurableObjectOutbox(limited(this.#storage), {
      prefix,
      ...maxBytes === null ? {} : { maxBytes: Number(maxBytes) },
    });
    const made: Served = {
      store,
      recorder: redis === null
        ? undefined
        : recorderFor(new Redis(redis), store),
      raw: {
        list: async () =>
          Array.from(
            await this.#storage.list({ start: prefix, end: `${pathname}0` }),
            ([key, value]) => [key.slice(prefix.length), toJson(value)],
          ),
        put: (name, value) =>
          this.#storage.put({ [prefix + name]: fromJson(value) }),
      },
    };
    this.#served.set(pathname, made);
    return made;
  }
}

interface Namespace {
  idFromName(name: string): unknown;
  get(id: unknown): { fetch(request: Request): Promise<Response> };
}

export default {
  fetch(request: Request, env: { STORES: Namespace }): Promise<Response> {
    const id = env.STORES.idFromName("only");
    return env.STORES.get(id).fetch(request);
  },
};
