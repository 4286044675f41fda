// A name server that can fall silent: https://www.rfc-editor.org/rfc/rfc1035#section-4.1
import dgram from "node:dgram";
import { Buffer } from "node:buffer";

const HEADER_BYTES = 12;
const TYPE_A = 1;
/** Response, recursion desired and available, no error. */
const FLAGS = 0x8180;
/** The name of the question, by its place; type A, class IN, no time to live, four bytes. */
const ANSWER = [0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4];

/** A running name server, which answers every name with one address. */
export interface SilentDns extends AsyncDisposable {
  /** Whether it swallows questions. */
  isSilent: boolean;
  /** Questions that it swallowed, those that were asked again included. */
  readonly swallowed: number;
}

/**
 * Starts a name server on port 53.
 *
 * @param hostname Where it listens.
 * @param address The IPv4 address of every name. There is none of IPv6.
 */
export async function startSilentDns(
  hostname = "127.0.0.1",
  address = "127.0.0.1",
): Promise<SilentDns> {
  const socket = dgram.createSocket("udp4");
  const dns = {
    isSilent: false,
    swallowed: 0,
    async [Symbol.asyncDispose]() {
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.close(() => resolve());
      await promise;
    },
  };
  socket.on("message", (query: Uint8Array, from: dgram.RemoteInfo) => {
    if (dns.isSilent) dns.swallowed++;
    else socket.send(answer(query, address), from.port, from.address);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("listening", resolve);
  socket.once("error", reject);
  socket.bind(53, hostname);
  await promise;
  return dns;
}

function answer(query: Uint8Array, address: string): Uint8Array {
  const question = Buffer.from(query.subarray(HEADER_BYTES, endOf(query)));
  const isA = question.readUInt16BE(question.length - 4) === TYPE_A;
  const header = Buffer.alloc(HEADER_BYTES);
  header.set(query.subarray(0, 2)); // the id
  header.writeUInt16BE(FLAGS, 2);
  header.writeUInt16BE(1, 4); // questions
  header.writeUInt16BE(isA ? 1 : 0, 6); // answers
  const record = isA ? [...ANSWER, ...address.split(".").map(Number)] : [];
  return Buffer.concat([header, question, Buffer.from(record)]);
}

/** Where the first question ends: labels, a zero, type and class. */
function endOf(query: Uint8Array): number {
  let at = HEADER_BYTES;
  while (query[at] !== undefined && query[at] !== 0) at += query[at]! + 1;
  return at + 5;
}
