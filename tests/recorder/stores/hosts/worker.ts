// A Worker whose Durable Object serves DurableObjectOutboxes. It runs in workerd.
import {
  DurableObjectOutbox,
  type DurableObjectStorageLike,
} from "../../../../recorder/stores/durable_object_outbox.ts";
import { fromJson, serve, type Served, toJson } from "./serve.ts";

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

export class Stores {
  readonly #storage: DurableObjectStorageLike;
  readonly #served = new Map<string, Served>();

  constructor(context: { storage: DurableObjectStorageLike }) {
    this.#storage = context.storage;
  }

  fetch(request: Request): Promise<Response> {
    return serve(request, this.#servedAt(new URL(request.url)));
  }

  /** The store of a URL: its path is the prefix. */
  #servedAt({ pathname, searchParams }: URL): Served {
    const known = this.#served.get(pathname);
    if (known !== undefined) return known;
    const prefix = `${pathname}/`;
    const maxBytes = searchParams.get("maxBytes");
    const made: Served = {
      store: new DurableObjectOutbox(limited(this.#storage), {
        prefix,
        ...maxBytes === null ? {} : { maxBytes: Number(maxBytes) },
      }),
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
