// This module in workerd.
import { connect } from "../../../bench/clients/ours_client.ts";
import { workerOf } from "./workerd_answer.ts";

export default workerOf(connect({ maxConnections: 1 }));
