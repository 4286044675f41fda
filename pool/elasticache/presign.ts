// A URL that is signed in its query by AWS Signature Version 4.

/** Keys of AWS. */
export interface AwsKeys {
  /** Such as `AKIA…`, or `ASIA…` for keys that expire. */
  readonly accessKeyId: string;
  /** Its secret. It is not sent. */
  readonly secretAccessKey: string;
  /** Goes with keys that expire. */
  readonly sessionToken?: string | undefined;
}

/** What is signed. */
export interface Presigning {
  /** The `Host` of the request. */
  readonly host: string;
  /** The parameters of its query, in any order. */
  readonly query: Readonly<Record<string, string>>;
  readonly keys: AwsKeys;
  /** Such as `us-east-1`. */
  readonly region: string;
  /** The name of the service in signatures, such as `elasticache`. */
  readonly service: string;
  /** When it is signed. */
  readonly at: Date;
  /** How long it is valid, in seconds. */
  readonly seconds: number;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
const utf8 = new TextEncoder();

/**
 * Signs a GET of `/` without a body.
 *
 * @see {@link https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html}
 * @param presigning See {@linkcode Presigning}.
 * @returns The URL without its scheme: `host/?…&X-Amz-Signature=…`.
 */
export async function presign(presigning: Presigning): Promise<string> {
  const { host, query, keys, region, service, at, seconds } = presigning;
  const time = at.toISOString().replace(/[-:]|\.\d+/g, ""); // 20150830T123600Z
  const day = time.slice(0, 8);
  const scope = `${day}/${region}/${service}/aws4_request`;
  const { accessKeyId, secretAccessKey, sessionToken } = keys;
  const parameters = encoded({
    ...query,
    "X-Amz-Algorithm": ALGORITHM,
    "X-Amz-Credential": `${accessKeyId}/${scope}`,
    "X-Amz-Date": time,
    "X-Amz-Expires": `${seconds}`,
    ...sessionToken === undefined
      ? {}
      : { "X-Amz-Security-Token": sessionToken },
    "X-Amz-SignedHeaders": "host",
  });
  const request = ["GET", "/", parameters, `host:${host}`, "", "host"];
  request.push(await sha256("")); // of the body
  const text = [ALGORITHM, time, scope, await sha256(request.join("\n"))];
  let key = utf8.encode(`AWS4${secretAccessKey}`);
  for (const part of scope.split("/")) key = await hmac(key, part);
  const signature = hex(await hmac(key, text.join("\n")));
  return `${host}/?${parameters}&X-Amz-Signature=${signature}`;
}

/** A query as it is signed: encoded first, then sorted by code points. */
const encoded = (query: Readonly<Record<string, string>>): string =>
  Object.entries(query)
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a], [b]) => a < b ? -1 : 1)
    .map((pair) => pair.join("="))
    .join("&");

/** Percent-encodes all but the unreserved characters of RFC 3986. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

async function hmac(
  key: Uint8Array<ArrayBuffer>,
  text: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey(
    "raw",
    key,
    algorithm,
    false,
    ["sign"],
  );
  return new Uint8Array(
    await crypto.subtle.sign("HMAC", imported, utf8.encode(text)),
  );
}

const sha256 = async (text: string): Promise<string> =>
  hex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8.encode(text))));

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
