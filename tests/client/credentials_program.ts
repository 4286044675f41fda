// A client whose password is refused once and then changes: to be run on any runtime, with the URL of its server.
import process from "node:process";
import { Redis } from "../../mod.ts";
import { iamCredentials } from "../../pool/elasticache/iam_credentials.ts";

const passwords = ["wrong", "right"];
let asked = 0;
const redis = new Redis(process.argv[2], {
  retry: false,
  credentials: () => ({
    password: passwords[asked++] ?? "right",
    expiresAt: new Date(Date.now() + 3_600_000),
  }),
});
const reply = await redis.send(["PING"]);
await redis.close();

const credentials = iamCredentials({
  user: "app",
  cacheName: "orders",
  region: "eu-central-1",
  aws: () => ({ accessKeyId: "AKIDEXAMPLE", secretAccessKey: "a secret" }),
});
const { signal } = new AbortController();
const { password } = await credentials({ signal });
const isToken = /^orders\/\?.*&X-Amz-Signature=[0-9a-f]{64}$/.test(password);
console.log(`${reply} ${asked} ${isToken}`);
