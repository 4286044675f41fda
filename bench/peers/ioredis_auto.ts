// ioredis with auto-pipelining: the commands of one turn are written together.

import { connect } from "./ioredis_client.ts";
import { work } from "../worker.ts";

await work(connect(true));
