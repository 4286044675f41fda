// Rows of compare.ts alone: how long record() takes where events do not come in bursts.

import type { Client, WebhookEvent } from "../client.ts";
import { type Row, rows } from "../rows.ts";

const CALLERS = 64;
const ROUND_TRIPS = 100;
const event: WebhookEvent = {
  mallId: "mall1",
  shopNo: 1,
  eventType: "order_created",
};

async function caller(client: Client): Promise<void> {
  for (let n = 0; n < ROUND_TRIPS; n++) await client.record!(event);
}

const burst = rows.find(({ name }) => name === "record")!;

/** One caller of `record()`, and 64 of them. */
export const recordRows: readonly Row[] = [
  {
    ...burst,
    name: "record-one",
    title: "record(), one at a time",
    apart: true,
    units: ROUND_TRIPS,
    step: caller,
  },
  {
    ...burst,
    name: "record-callers",
    title: "record(), 64 callers",
    apart: true,
    units: CALLERS * ROUND_TRIPS,
    step: (client) =>
      Promise.all(Array.from({ length: CALLERS }, () => caller(client))),
  },
];
