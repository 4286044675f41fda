// The Worker that runs cases: one a request, since a client belongs to its request.
import type { Assignment, CaseResult } from "./env.ts";
import { runCases } from "./run_cases.ts";

export default {
  async fetch(request: Request): Promise<Response> {
    let result: CaseResult | undefined;
    await runCases(
      await request.json() as Assignment,
      (ended) => result = ended,
    );
    return Response.json(result);
  },
};
