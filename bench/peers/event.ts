// Event: the key, score and member of one webhook event, for the cold starts of peers.

/** The arguments of the ZADD that records one event now. */
export function event(): [key: string, score: string, member: string] {
  const score = Math.floor(Date.now() / 1000);
  return [
    "webhook_frequency_mall1_1_order_created",
    String(score),
    crypto.randomUUID(),
  ];
}
