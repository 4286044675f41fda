// Starts a workerd whose Durable Object has DurableObjectOutboxes.
import { Workerd } from "../../../support/workerd.ts";
import type { Host } from "./host.ts";

/** @throws {Error} If the Worker cannot be bundled. */
export const startWorker = (): Promise<Host> =>
  Workerd.start({
    workers: [{
      name: "main",
      main: new URL("./worker.ts", import.meta.url),
      durableObjects: { STORES: "Stores" },
    }],
  });
