// Worker: times how fast one subscriber takes messages, in a process of its own. Runs without an import map.

import process from "node:process";
import { PlainConnection } from "../../cli/plain_commands.ts";

/** What is asked of a worker: one JSON argument. */
export interface PubsubJob {
  readonly row: string;
  readonly url: string;
  /** The size of a message in bytes. */
  readonly size: number;
  /** To how many channels messages go in turn. */
  readonly channels: number;
  /** How many messages are published at once. */
  readonly burst: number;
  readonly bursts: number;
}

/** What a worker prints. */
export interface PubsubTiming {
  readonly perSecond: number;
  /** What a message costs the process, all threads, in nanoseconds. */
  readonly cpuNs: number;
}

/** Subscribes to channels, and calls `onMessage` for each message. */
export type Listen = (
  job: PubsubJob,
  channels: string[],
  onMessage: () => void,
) => Promise<() => unknown>;

/** By one script, so that the server has written all of them before the first is sent. */
const PUBLISH =
  `for i = 0, ARGV[1] - 1 do redis.call('PUBLISH', 'channel:' .. i % ARGV[3], ARGV[2]) end`;

/** Reads the job, subscribes, times the bursts, prints the timing, ends the process. */
export async function work(listen: Listen): Promise<void> {
  const job = JSON.parse(process.argv.at(-1)!) as PubsubJob;
  const { burst, bursts, size } = job;
  const channels = Array.from(
    { length: job.channels },
    (_, i) => `channel:${i}`,
  );
  let heard = 0;
  let firstAt = 0;
  let done = () => {};
  const close = await listen(job, channels, () => {
    if (heard === 0) firstAt = performance.now();
    if (++heard === burst) done();
  });
  const publisher = await PlainConnection.open(Number(new URL(job.url).port));
  const run = async (): Promise<{ ms: number; cpuUs: number }> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    heard = 0;
    done = resolve;
    const before = process.cpuUsage();
    const args = [burst, "x".repeat(size), channels.length].map(String);
    await publisher.run(["EVAL", PUBLISH, "0", ...args]);
    await promise;
    const { user, system } = process.cpuUsage(before);
    return { ms: performance.now() - firstAt, cpuUs: user + system };
  };
  await run(); // warms up
  let ms = 0, cpuUs = 0;
  for (let i = 0; i < bursts; i++) {
    const one = await run();
    ms += one.ms;
    cpuUs += one.cpuUs;
  }
  const messages = burst * bursts;
  const timing: PubsubTiming = {
    perSecond: messages / ms * 1000,
    cpuNs: cpuUs * 1000 / messages,
  };
  console.log(JSON.stringify(timing));
  await close();
  process.exit();
}
