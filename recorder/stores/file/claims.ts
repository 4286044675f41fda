// Which process holds the log: records of claims, of which each may follow one other.
import process from "node:process";
import type { Disk } from "./disk.ts";
import type { OutboxHolder } from "./errors.ts";
import {
  hostName,
  type KernelLock,
  type Life,
  ownLife,
  RUNTIME,
} from "./runtime.ts";

/** The record of a process that takes the log. */
export interface Claim extends OutboxHolder {
  /** Different for each claim. */
  readonly nonce: string;
  /** The nonce of the claim that it follows; none where the log was free. */
  readonly supersedes?: string;
  /** Which of the processes with that id it is, where that can be known. */
  readonly life?: Life;
  /** Whether the process has the kernel's lock, too. */
  readonly hasKernelLock?: true;
  /** From where to where the log was cut short by a crash. */
  readonly torn?: readonly [from: number, to: number];
}

/** The record of a process that gives the log back. */
export interface Release {
  readonly released: string;
}

/**
 * The holder after one more record. Records have one order, since they are
 * appended: of two claims that follow the same one, the first holds.
 */
export function holderAfter(
  holder: Claim | undefined,
  record: Claim | Release,
): Claim | undefined {
  if ("released" in record) {
    return record.released === holder?.nonce ? undefined : holder;
  }
  return record.supersedes === holder?.nonce ? record : holder;
}

/**
 * The claim of this process.
 *
 * @param holder The claim that it follows.
 * @param tornAt Where a crash has cut the log short.
 * @param size Where the log ends.
 */
export function newClaim(
  holder: Claim | undefined,
  kernelLock: KernelLock | undefined,
  tornAt: number | undefined,
  size: number,
): Claim {
  const host = hostName();
  const life = ownLife();
  return {
    nonce: crypto.randomUUID(),
    pid: process.pid,
    ...(host === undefined ? {} : { host }),
    runtime: RUNTIME,
    since: new Date().toISOString(),
    ...(life === undefined ? {} : { life }),
    ...(holder === undefined ? {} : { supersedes: holder.nonce }),
    ...(kernelLock === undefined ? {} : { hasKernelLock: true }),
    ...(tornAt === undefined ? {} : { torn: [tornAt, size] }),
  };
}

/** The body of the record by which a process gives the log back. */
export const releaseOf = (claim: Claim): string =>
  `@ ${JSON.stringify({ released: claim.nonce })}`;

/** Whether the last record is that of a holder who gives the log back. */
export function isReleased(disk: Disk, holder: Claim, size: number): boolean {
  const expected = releaseOf(holder);
  const bytes = new Uint8Array(expected.length + 1);
  if (size < bytes.length) return false;
  const read = disk.read(bytes, size - bytes.length);
  return String.fromCharCode(...bytes.subarray(0, read)) === `${expected}\n`;
}
