// Times one row in workerd, and answers with the timing.
import type { Connect } from "../../../bench/client.ts";
import { rows } from "../../../bench/rows.ts";
import { type Pace, timed } from "../../../bench/timing.ts";

/** What is asked for, in the body of a request. The authority of TLS is in workerd's configuration. */
export interface WorkerdJob extends Pace {
  readonly row: string;
  readonly url: string;
}

/** A Worker that times a client. */
export const workerOf = (connect: Connect) => ({
  async fetch(request: Request): Promise<Response> {
    try {
      const job: WorkerdJob = await request.json();
      const row = rows.find(({ name }) => name === job.row)!;
      const client = await connect(job.url);
      await row.check(client);
      const timing = await timed(job, row, () => row.step(client));
      await client.close();
      return Response.json(timing);
    } catch (error) {
      return new Response(`${error}`, { status: 500 });
    }
  },
});
