// The sender of webhooks: delivers each event again until it is accepted.
import { delay } from "@std/async/delay";

/** What the answers to deliveries were: how many, by their status. */
export type Answers = Record<number, number>;

/** Where the events of a test are counted. */
export const KEY = "webhook_frequency_mall_1_orders";

const CALLERS = 10;
const PAUSE_MS = 50;

/**
 * Delivers events `from` to `to`, ten at a time.
 *
 * @param everyMs How long each caller waits before its next event, in milliseconds.
 */
export async function deliver(
  url: string,
  from: number,
  to: number,
  everyMs = 0,
): Promise<Answers> {
  const answers: Answers = {};
  let next = from;
  await Promise.all(Array.from({ length: CALLERS }, async () => {
    while (next < to) {
      const id = `delivery-${next++}`;
      while (!await isAccepted(id)) await delay(PAUSE_MS);
      if (everyMs > 0) await delay(everyMs);
    }
  }));
  return answers;

  async function isAccepted(id: string): Promise<boolean> {
    const response = await fetch(`${url}/webhooks/mall/1/orders`, {
      method: "POST",
      headers: { "idempotency-key": id },
    });
    await response.body?.cancel();
    const { status, ok } = response;
    answers[status] = (answers[status] ?? 0) + 1;
    return ok;
  }
}
