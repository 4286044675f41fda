// That what is signed is what AWS signs: by its published vectors, and by another implementation.

import "../../support/strict.ts";
import { assertEquals, assertNotEquals } from "@std/assert";
import { createHash, createHmac } from "node:crypto";
import { presign, type Presigning } from "../../../pool/elasticache/presign.ts";
import { Random } from "../../support/random.ts";

const signatureOf = async (presigning: Presigning): Promise<string> =>
  (await presign(presigning)).split("&X-Amz-Signature=")[1]!;

/** Of all vectors of AWS: https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4 */
const SUITE: Presigning = {
  host: "example.amazonaws.com",
  query: {},
  keys: {
    accessKeyId: "AKIDEXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  },
  region: "us-east-1",
  service: "service",
  at: new Date("2015-08-30T12:36:00Z"),
  seconds: 3600,
};
const UNRESERVED =
  "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** The vectors whose request is a GET of `/`, by the names of their folders: what differs, and the signature in `query-signed-request.txt`. */
const VECTORS: Readonly<
  Record<string, readonly [Partial<Presigning>, string]>
> = {
  "get-vanilla-query-order-key-case": [
    { query: { Param2: "value2", Param1: "value1" } },
    "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5",
  ],
  "get-vanilla-query-unreserved": [
    { query: { [UNRESERVED]: UNRESERVED } },
    "8e76a88a7433637b12778d5592799b29ad21ecd6cf6325051c21d86f0acda2bf",
  ],
  "get-vanilla-utf8-query": [
    { query: { "ሴ": "bar" } },
    "0bdd809b1519ac4f0c1dc3540e2cc46bd0c7f778eda408b2ebf3b913d21ff600",
  ],
  "get-vanilla-query-order-encoded": [
    { query: { "Param-3": "Value3", "Param": "Value2", "ሴ": "Value1" } },
    "c5f1848ceec943ac2ca68ee720460c23aaae30a2300586597ada94c4a65e4787",
  ],
  "get-vanilla-with-session-token": [
    {
      keys: {
        ...SUITE.keys,
        sessionToken:
          "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
      },
    },
    "7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c",
  ],
};

for (const [name, [difference, signature]] of Object.entries(VECTORS)) {
  Deno.test(`The signature of AWS's vector ${name} is the published one`, async () => {
    assertEquals(await signatureOf({ ...SUITE, ...difference }), signature);
  });
}

Deno.test("The token of a serverless cache is the one that the Java SDK of AWS signs", async () => {
  // By a test of opetushallitus/jod-yksilo (IamAuthTokenRequestTest), which runs the SDK.
  const token = await presign({
    host: "my-cache",
    query: {
      Action: "connect",
      User: "user123",
      ResourceType: "ServerlessCache",
    },
    keys: { accessKeyId: "accessKey", secretAccessKey: "secretKey" },
    region: "eu-west-1",
    service: "elasticache",
    at: new Date("2024-08-02T12:11:50Z"),
    seconds: 900,
  });
  assertEquals(
    token,
    "my-cache/?Action=connect&ResourceType=ServerlessCache&User=user123" +
      "&X-Amz-Algorithm=AWS4-HMAC-SHA256" +
      "&X-Amz-Credential=accessKey%2F20240802%2Feu-west-1%2Felasticache%2Faws4_request" +
      "&X-Amz-Date=20240802T121150Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host" +
      "&X-Amz-Signature=5dda5db919b1337db6596b2a608924bc10197fb39289b933b60bdb114d5a70dc",
  );
});

/** Checks a URL as its receiver does: from its text and the secret alone. */
function signatureByReceiver(text: string, secretAccessKey: string): string {
  const url = new URL(`http://${text}`);
  const query = [...url.searchParams]
    .filter(([name]) => name !== "X-Amz-Signature")
    .map((pair) =>
      pair.map((part) =>
        Array.from(
          new TextEncoder().encode(part),
          (byte) =>
            UNRESERVED.includes(String.fromCharCode(byte))
              ? String.fromCharCode(byte)
              : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
        ).join("")
      )
    )
    .sort(([a], [b]) => a! < b! ? -1 : 1)
    .map((pair) => pair.join("="));
  const time = url.searchParams.get("X-Amz-Date")!;
  const [, ...scope] = url.searchParams.get("X-Amz-Credential")!.split("/");
  const hash = (text: string) =>
    createHash("sha256").update(text).digest("hex");
  const request = `GET\n/\n${query.join("&")}\nhost:${
    text.slice(0, text.indexOf("/"))
  }\n\nhost\n${hash("")}`;
  let key = new TextEncoder().encode(`AWS4${secretAccessKey}`);
  for (const part of scope) {
    key = new Uint8Array(createHmac("sha256", key).update(part).digest());
  }
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope.join("/")}\n${
    hash(request)
  }`;
  return createHmac("sha256", key).update(toSign).digest("hex");
}

Deno.test("Whatever is signed, its receiver comes to the same signature, and to another one after any change", async () => {
  const random = new Random();
  const text = (length: number): string =>
    Array.from(
      { length },
      () => random.pick([..."aZ09-._~ +/=&?#%!'()*,:;@$[]\\\"<>^`{|}äሴ😀"]),
    ).join("");
  for (let i = 0; i < 200; i++) {
    const names = Array.from({ length: 4 }, () => `n${text(3)}`);
    const presigning: Presigning = {
      host: `cache-${random.below(1000)}`,
      query: Object.fromEntries(names.map((name) => [name, text(6)])),
      keys: {
        accessKeyId: `AK${random.below(1e6)}`,
        secretAccessKey: text(20),
        sessionToken: i % 2 === 0 ? text(40) : undefined,
      },
      region: "eu-central-1",
      service: "elasticache",
      at: new Date(random.below(2 ** 31) * 1000),
      seconds: 900,
    };
    const signed = await presign(presigning);
    const { secretAccessKey } = presigning.keys;
    const signature = signed.split("&X-Amz-Signature=")[1]!;
    assertEquals(signatureByReceiver(signed, secretAccessKey), signature);
    const changed = signed.replace("X-Amz-Expires=900", "X-Amz-Expires=901");
    assertNotEquals(signatureByReceiver(changed, secretAccessKey), signature);
  }
});
