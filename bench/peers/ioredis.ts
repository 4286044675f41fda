// ioredis as it comes: every command is written by itself.

import { connect } from "./ioredis_client.ts";
import { work } from "../worker.ts";

await work(connect(false));
