// That ElastiCache gets its token, and that the functions of docs/credentials.md get their keys: a local server stands for AWS, Azure and Google.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type CredentialsFunction, Redis } from "../../../mod.ts";
import {
  type ExpiringAwsKeys,
  iamCredentials,
  type IamOptions,
} from "../../../pool/elasticache/iam_credentials.ts";
import { helloOf, ScriptedServer } from "../../support/scripted_server.ts";

const KEYS = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "of-the-tests" };
const OPTIONS: IamOptions = {
  user: "app",
  cacheName: "Orders",
  region: "eu-central-1",
  aws: () => KEYS,
};
const request = { signal: new AbortController().signal };

const tokenOf = async (options: Partial<IamOptions> = {}): Promise<URL> => {
  const { password } = await iamCredentials({ ...OPTIONS, ...options })(
    request,
  );
  return new URL(`http://${password}`);
};

Deno.test("A token names the cache, the user and its end, and a serverless cache says that it is one", async () => {
  const token = await tokenOf();
  assertEquals(token.host, "orders");
  assertEquals(token.searchParams.get("Action"), "connect");
  assertEquals(token.searchParams.get("User"), "app");
  assertEquals(token.searchParams.get("X-Amz-Expires"), "900");
  assertEquals(token.searchParams.get("ResourceType"), null);
  const serverless = await tokenOf({ serverless: true });
  assertEquals(serverless.searchParams.get("ResourceType"), "ServerlessCache");
});

Deno.test("A token ends after 15 minutes, or with its keys; a connection after 12 hours", async () => {
  const ends = async (expiration?: ExpiringAwsKeys["expiration"]) => {
    const { expiresAt, sessionMs } = await iamCredentials({
      ...OPTIONS,
      aws: () => ({ ...KEYS, expiration }),
    })(request);
    assertEquals(sessionMs, 43_200_000);
    return Math.round((Number(expiresAt) - Date.now()) / 1000);
  };
  assertEquals(await ends(), 900);
  const soon = Date.now() + 100_400;
  for (
    const expiration of [soon, new Date(soon), new Date(soon).toISOString()]
  ) assertEquals(await ends(expiration), 100);
  assertEquals(await ends(Date.now() + 1e7), 900);
});

Deno.test("Options and keys that cannot be used are refused, without a secret", async () => {
  const options: [Partial<Record<keyof IamOptions, unknown>>, string][] = [
    [{ user: "" }, 'Cannot use user "": expected letters'],
    [
      { cacheName: "orders.x.cache.amazonaws.com:6379" },
      "the name of the cache and not its address",
    ],
    [{ region: undefined }, "Cannot use region undefined"],
    [{ serverless: "yes" }, "Cannot use serverless of type string"],
    [{ aws: KEYS }, "Cannot use aws of type object: expected a function"],
  ];
  for (const [option, text] of options) {
    assertThrows(
      () => iamCredentials({ ...OPTIONS, ...option } as IamOptions),
      TypeError,
      text,
    );
  }
  const keys: [unknown, string][] = [
    [undefined, "aws() gave no accessKeyId"],
    [{ ...KEYS, secretAccessKey: "" }, "aws() gave no secretAccessKey"],
    [{ ...KEYS, sessionToken: 7 }, "sessionToken of type number"],
    [{ ...KEYS, expiration: "soon" }, "an expiration that is no time"],
    [
      { ...KEYS, expiration: Date.now() / 1000 },
      "expected Unix time in milliseconds",
    ],
  ];
  for (const [given, text] of keys) {
    const aws = () => given as ExpiringAwsKeys;
    const error = await assertRejects(
      () => Promise.resolve(iamCredentials({ ...OPTIONS, aws })(request)),
      TypeError,
      text,
    );
    assertFalse(error.message.includes(KEYS.secretAccessKey));
  }
});

Deno.test("A client logs in with a token, and shows it nowhere", async () => {
  await using server = new ScriptedServer(([name, , , user, token]) =>
    name !== "HELLO"
      ? "+OK\r\n"
      : token?.startsWith("orders/?Action=connect") === true && user === "app"
      ? helloOf({ version: "9.0.0", role: "master", mode: "cluster" })
      : `-WRONGPASS ${token}\r\n`
  );
  await using redis = new Redis(server.url, {
    credentials: iamCredentials(OPTIONS),
    retry: false,
  });
  assertEquals(await redis.send(["ECHO", "OK"]), "OK");
  await using other = new Redis(server.url, {
    credentials: iamCredentials({ ...OPTIONS, cacheName: "other" }),
    retry: false,
  });
  const error = await assertRejects(() => other.send(["PING"]));
  assertFalse(/X-Amz|Signature=/.test(Deno.inspect(error, { depth: 9 })));
});

/** The code of docs/credentials.md, by the name that it exports. */
async function documented<T>(name: string): Promise<T> {
  const page = await Deno.readTextFile(
    new URL("../../../docs/credentials.md", import.meta.url),
  );
  const code = [...page.matchAll(/```ts\n([\s\S]*?)```/g)]
    .map(([, code]) => code!)
    .find((code) => new RegExp(`export .*\\b${name}\\b`).test(code));
  assert(code !== undefined, name);
  const module = await import(
    `data:application/typescript,${encodeURIComponent(code)}`
  );
  return module[name];
}

/** Stands for the endpoints of clouds; what was asked of it. */
class Cloud implements AsyncDisposable {
  readonly asked: { url: URL; headers: Headers; body: string }[] = [];
  #answer = new Response();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => {
        const { url, headers } = request;
        const body = await request.text();
        this.asked.push({ url: new URL(url), headers, body });
        return this.#answer.clone();
      },
    );
  }

  get host(): string {
    return `127.0.0.1:${this.#server.addr.port}`;
  }

  answers(text: string, status = 200): void {
    this.#answer = new Response(text, { status });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** Sets variables of the environment as long as it is not disposed of. */
function withEnv(variables: Record<string, string>): Disposable {
  for (const [name, value] of Object.entries(variables)) {
    Deno.env.set(name, value);
  }
  return {
    [Symbol.dispose]: () => {
      for (const name of Object.keys(variables)) Deno.env.delete(name);
    },
  };
}

Deno.test("The documented function has the keys of the environment", async () => {
  const aws = await documented<IamOptions["aws"]>("environmentKeys");
  using _env = withEnv({
    AWS_ACCESS_KEY_ID: "AKIDENV",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_SESSION_TOKEN: "a/token+with=signs",
  });
  const token = await tokenOf({ aws });
  assert(token.searchParams.get("X-Amz-Credential")!.startsWith("AKIDENV/"));
  assertEquals(
    token.searchParams.get("X-Amz-Security-Token"),
    "a/token+with=signs",
  );
});

Deno.test("The documented function has the keys of a container", async () => {
  await using cloud = new Cloud();
  const aws = await documented<IamOptions["aws"]>("containerKeys");
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "of the pod\n");
  using _env = withEnv({
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${cloud.host}/v1/credentials`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file,
  });
  const expiration = new Date(Date.now() + 300_400).toISOString();
  cloud.answers(JSON.stringify({
    AccessKeyId: "ASIACONTAINER",
    SecretAccessKey: "secret",
    Token: "of-the-session",
    Expiration: expiration,
  }));
  const { password, expiresAt } = await iamCredentials({ ...OPTIONS, aws })(
    request,
  );
  assertStringIncludes(password, "X-Amz-Credential=ASIACONTAINER");
  assertStringIncludes(password, "X-Amz-Security-Token=of-the-session");
  assertEquals(expiresAt, Date.parse(expiration));
  assertEquals(cloud.asked[0]!.url.pathname, "/v1/credentials");
  assertEquals(cloud.asked[0]!.headers.get("authorization"), "of the pod");
  cloud.answers("denied", 403);
  await assertRejects(
    () => Promise.resolve(iamCredentials({ ...OPTIONS, aws })(request)),
    Error,
    "no keys: 403",
  );
  await Deno.remove(file);
});

Deno.test("The documented function exchanges a web identity for keys", async () => {
  await using cloud = new Cloud();
  using _env = withEnv({ AWS_ENDPOINT_URL_STS: `http://${cloud.host}` });
  const make = await documented<(options: unknown) => IamOptions["aws"]>(
    "webIdentityKeys",
  );
  const aws = make({
    role: "arn:aws:iam::1:role/redis",
    region: "eu-central-1",
    token: () => Promise.resolve("a.jwt.token"),
  });
  const expiration = new Date(Date.now() + 3_600_000).toISOString();
  cloud.answers(
    `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <AssumeRoleWithWebIdentityResult><Credentials>
      <AccessKeyId>ASIAWEB</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
      <SessionToken>of/the+session==</SessionToken><Expiration>${expiration}</Expiration>
    </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
  );
  const token = await tokenOf({ aws });
  assert(token.searchParams.get("X-Amz-Credential")!.startsWith("ASIAWEB/"));
  assertEquals(
    token.searchParams.get("X-Amz-Security-Token"),
    "of/the+session==",
  );
  const form = new URLSearchParams(cloud.asked[0]!.body);
  assertEquals(form.get("Action"), "AssumeRoleWithWebIdentity");
  assertEquals(form.get("RoleArn"), "arn:aws:iam::1:role/redis");
  assertEquals(form.get("WebIdentityToken"), "a.jwt.token");
  cloud.answers(
    "<ErrorResponse><Error><Code>ExpiredTokenException</Code></Error></ErrorResponse>",
    400,
  );
  await assertRejects(
    () => tokenOf({ aws }),
    Error,
    "STS says ExpiredTokenException",
  );
});

Deno.test("The documented functions have the tokens of Azure and of Google", async () => {
  await using cloud = new Cloud();
  using _env = withEnv({
    IMDS: `http://${cloud.host}`,
    GCE_METADATA_HOST: cloud.host,
  });
  const entra = await documented<(id: string) => CredentialsFunction>(
    "entraCredentials",
  );
  const end = Math.floor(Date.now() / 1000) + 3600;
  cloud.answers(JSON.stringify({ access_token: "e", expires_on: `${end}` }));
  assertEquals(await entra("object-id")(request), {
    username: "object-id",
    password: "e",
    expiresAt: end * 1000,
  });
  const { url, headers } = cloud.asked[0]!;
  assertEquals(url.searchParams.get("resource"), "https://redis.azure.com");
  assertEquals(headers.get("metadata"), "true");

  const google = await documented<CredentialsFunction>("googleCredentials");
  cloud.answers(JSON.stringify({ access_token: "g", expires_in: 3599 }));
  const { password, expiresAt, sessionMs } = await google(request);
  assertEquals([password, sessionMs], ["g", Infinity]);
  assert(Math.abs(Number(expiresAt) - Date.now() - 3_599_000) < 1000);
  assertEquals(cloud.asked[1]!.headers.get("metadata-flavor"), "Google");
});

Deno.test("The documented function reads a password from a file", async () => {
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, "of-the-file\n");
  const read = await documented<(path: string) => CredentialsFunction>(
    "fileCredentials",
  );
  assertEquals(await read(file)(request), {
    username: "app",
    password: "of-the-file",
  });
  await Deno.remove(file);
});
