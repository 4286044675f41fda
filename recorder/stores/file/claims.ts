// Which process holds the log: records of claims, of which each may follow one other.
import type { OutboxHolder } from "./errors.ts";

/** The record of a process that takes the log. */
export interface Claim extends OutboxHolder {
  /** Different for each claim. */
  readonly nonce: string;
  /** The nonce of the claim that it follows; none where the log was free. */
  readonly supersedes?: string;
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
