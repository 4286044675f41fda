// Client of ours: how this module does what the rows ask.

import type { Client, Connect } from "../client.ts";
import {
  type RecorderOptions,
  Redis,
  type RedisOptions,
  WebhookRecorder,
} from "../../mod.ts";

/** What the rows need of this module, or of another version of it. */
export interface Module {
  readonly Redis: typeof Redis;
  readonly WebhookRecorder: typeof WebhookRecorder;
}

/** Connects with the given options. */
export function connect(
  options: RedisOptions,
  module: Module = { Redis, WebhookRecorder },
  recorderOptions: RecorderOptions = {},
): Connect {
  return async (url, ca) => {
    const redis = new module.Redis(url, {
      ...options,
      ...(ca === undefined ? {} : { tls: { caCerts: [ca] } }),
    });
    const recorder = new module.WebhookRecorder(redis, recorderOptions);
    await redis.send(["PING"]);
    const binary = { binary: true };
    const client: Client = {
      zadd: (key, score, member) => redis.send(["ZADD", key, score, member]),
      getBytes: (key) =>
        redis.send(["GET", key], binary) as Promise<Uint8Array>,
      getText: (key) => redis.send(["GET", key]) as Promise<string>,
      lrange: (key) => redis.send(["LRANGE", key, "0", "-1"]),
      record: (event) => recorder.record(event),
      async close() {
        await recorder.close();
        await redis.close();
      },
    };
    return client;
  };
}
