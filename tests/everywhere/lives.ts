// Programs whose process is what is looked at: when it ends, and with which code.
import { delay } from "@std/async/delay";
import { fateOf, Redis, WebhookRecorder } from "../../mod.ts";
import { FileOutbox } from "../../recorder/stores/file/file_outbox.ts";

/** Prints how a call has ended, since a process that ends too early prints nothing. */
async function tell(call: Promise<unknown>): Promise<void> {
  console.log(
    await call.then(
      (reply) => `reply ${reply}`,
      (error) => `${error.name} ${fateOf(error)}`,
    ),
  );
}

/** The fields of an event; its key is `webhook_frequency_lives_1_orders`. */
const EVENT = { mallId: "lives", shopNo: 1, eventType: "orders" };

/** Each ends without closing anything, unless its name says so. */
export const lives: Readonly<
  Record<string, (...args: string[]) => Promise<void>>
> = {
  /** An idle client. */
  async idle(url, caCert) {
    const redis = new Redis(url, {
      ...caCert === undefined ? {} : { tls: { caCerts: [caCert] } },
    });
    await tell(redis.send(["PING"]));
  },

  /** An idle recorder. */
  async recorder(url) {
    const recorder = new WebhookRecorder(new Redis(url));
    await tell(recorder.record(EVENT).then(({ status }) => status));
  },

  /** A reply that does not come: the process notices it by the timeout. */
  async owed(url, ms) {
    const redis = new Redis(url, { replyTimeoutMs: Number(ms) });
    await redis.send(["PING"]);
    console.log("ready");
    // Long enough for the network to fall silent.
    await delay(500);
    void tell(redis.send(["INCR", "owed"]));
  },

  /** A dial that comes to nothing. */
  dial(url, ms) {
    const redis = new Redis(url, {
      connectTimeoutMs: Number(ms),
      retry: false,
    });
    void tell(redis.send(["PING"]));
    return Promise.resolve();
  },

  /** Attempts with waits between them. */
  retry(url) {
    void tell(new Redis(url).send(["PING"]));
    return Promise.resolve();
  },

  /** A command that blocks for as long. */
  block(url, seconds) {
    void tell(new Redis(url).send(["BLPOP", "none", Number(seconds)]));
    return Promise.resolve();
  },

  /** An error that is not handled. */
  unhandled(url) {
    void new Redis(url, { retry: false }).send(["PING"]);
    return Promise.resolve();
  },

  /** A client that is closed while a reply is owed. */
  async closed(url) {
    const redis = new Redis(url);
    const reply = tell(redis.send(["BLPOP", "none", 0]));
    await redis.send(["PING"]);
    await redis.close({ drainMs: 100 });
    await reply;
  },

  /** Queues events in a file until it is killed: the first from the given number on. */
  async queue(url, path, from) {
    const redis = new Redis(url, { retry: false });
    let member = Number(from);
    const recorder = new WebhookRecorder(redis, {
      outbox: await FileOutbox.open(path!),
      newMember: () => `${member}`,
      onError: () => {},
      deadlineMs: 500,
    });
    while (true) {
      const mine = member;
      const { status } = await recorder.record(EVENT);
      console.log(`${status} ${mine}`);
      member++;
    }
  },

  /** Sends what is queued in a file. */
  async send(url, path) {
    const redis = new Redis(url);
    const outbox = await FileOutbox.open(path!);
    const recorder = new WebhookRecorder(redis, { outbox });
    await recorder.flush();
    console.log(`pending ${recorder.pending}`);
    await recorder.close();
    await outbox[Symbol.asyncDispose]();
    await redis.close();
  },
};
