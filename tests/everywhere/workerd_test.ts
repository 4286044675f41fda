// The cases of all runtimes in workerd, Cloudflare's runtime for Workers.

import "../support/strict.ts";
import { certificate } from "../support/certificate.ts";
import { ignore, Workerd } from "../support/workerd.ts";
import { subjects } from "./cases.ts";
import { testCases } from "./drivers.ts";
import type { CaseResult } from "./env.ts";

const AT_ONCE = 6;

testCases({
  label: "workerd",
  name: "Cloudflare Workers",
  version: "",
  ignore,
  async *run(assignment) {
    await using workerd = await Workerd.start({
      workers: [{
        name: "main",
        main: new URL("./worker.ts", import.meta.url),
      }],
      caCert: certificate("ca.crt"),
    });
    const names = Object.keys(subjects[assignment.subject]!);
    const asked: Promise<CaseResult>[] = [];
    while (names.length > 0 || asked.length > 0) {
      while (asked.length < AT_ONCE && names.length > 0) {
        const name = names.shift()!;
        asked.push(
          workerd.call("/", { ...assignment, name })
            .then((result) => result as CaseResult, (error) => ({
              name,
              ms: 0,
              error: String(error),
            })),
        );
      }
      yield await asked.shift()!;
    }
  },
});
