// Ours: this module as it comes, with its default options.

import { connect } from "./ours_client.ts";
import { work } from "../worker.ts";

await work(connect({ maxConnections: 1 }));
