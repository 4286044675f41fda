// Takes the log for this process, and reads it.
import { setTimeout } from "node:timers";
import { type Claim, isReleased, newClaim } from "./claims.ts";
import { AppendError, type Disk } from "./disk.ts";
import { OutboxLockedError } from "./errors.ts";
import { type Found, NEW, newHeader, placed, readFound } from "./header.ts";
import { bytesOf, recordOf } from "./record.ts";
import { Replay } from "./replay.ts";
import {
  hasEnded,
  hostName,
  type KernelLock,
  takeKernelLock,
} from "./runtime.ts";
import { Scan } from "./scan.ts";

/** A holder that has not touched the file for so long in milliseconds, while it was watched, is dead. */
const SILENT_MS = 5000;
/** So is one that had not touched it for so long before. Clocks of two hosts differ by less. */
const LONG_SILENT_MS = 60_000;
const POLL_MS = 20;
/** Some ten milliseconds of reading. */
const BLOCKS_A_TURN = 16;

const sleep = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, ms));

/** A log that this process holds. */
export interface Taken {
  readonly found: Found;
  readonly replay: Replay;
  /** Where the log ends. */
  readonly end: number;
  /** Whether the last line has no end. */
  readonly isOpenEnded: boolean;
  readonly claim: Claim;
  readonly kernelLock: KernelLock | undefined;
}

/**
 * Takes the log.
 *
 * @param waitMs How long another process may hold it.
 * @throws {OutboxLockedError} If another process holds it for longer.
 * @throws {OutboxFileError} If the file is no log of this version.
 */
export async function takeLog(disk: Disk, waitMs: number): Promise<Taken> {
  const until = performance.now() + waitMs;
  let lock = await takeKernelLock(disk.path);
  while (lock === "taken") {
    if (performance.now() >= until) {
      throw new OutboxLockedError(disk.path, await holderOf(disk));
    }
    await sleep(POLL_MS);
    lock = await takeKernelLock(disk.path);
  }
  const kernelLock = lock === "none" ? undefined : lock;
  try {
    for (;;) {
      const taken = await tryTake(disk, kernelLock, until);
      if (taken !== undefined) return { ...taken, kernelLock };
    }
  } catch (error) {
    kernelLock?.release();
    throw error;
  }
}

/** Reads the log, waits for the end of its holder, and claims it; `undefined` if it has changed meanwhile. */
async function tryTake(
  disk: Disk,
  kernelLock: KernelLock | undefined,
  until: number,
): Promise<Omit<Taken, "kernelLock"> | undefined> {
  const log = await readLog(disk, true);
  const { found, replay, scan, size } = log;
  const { holder, tornAt } = replay;
  if (holder !== undefined) {
    const isFree = await waitForEnd(disk, holder, kernelLock, until);
    if (!isFree) throw new OutboxLockedError(disk.path, holder);
    // It may have appended since, and another process may have taken the log.
    if ((await disk.state()).size !== size) return undefined;
  }
  const claim = newClaim(holder, kernelLock, tornAt, size);
  const record = recordOf(
    `@ ${JSON.stringify(claim)}`,
    found.header.generation,
  );
  const bytes = bytesOf(replay.isOpenEnded ? `\n${record}` : record);
  try {
    await disk.append(bytes);
  } catch (error) {
    if (!isFull(error)) throw error;
    const isAlone = await disk.takeBack(size, bytes);
    return isAlone ? await claimInHeader(disk, log, claim) : undefined;
  }
  const end = (await disk.state()).size;
  const now = readFound(disk, end);
  if (now?.header.sequence !== found.header.sequence) return undefined;
  scan.offset = replay.isOpenEnded ? size + 1 : size;
  while (scan.next(end, replay));
  if (replay.holder?.nonce !== claim.nonce) return undefined;
  replay.end(end);
  return { found, replay, end, isOpenEnded: false, claim };
}

/** Whether an append has failed for lack of room. */
const isFull = (error: unknown): boolean =>
  error instanceof AppendError &&
  ["ENOSPC", "EDQUOT", "EFBIG"].includes(
    (error.cause as Error & { readonly code?: string }).code ?? "",
  );

/**
 * Claims the log in place, in its header, where the disk has no room for a record:
 * what is in the log can be sent nevertheless, and that makes room.
 */
async function claimInHeader(
  disk: Disk,
  { found, replay, size }: Read,
  claim: Claim,
): Promise<Omit<Taken, "kernelLock">> {
  const end = replay.tornAt ?? size;
  if (end < size) await disk.truncate(end);
  const { sequence } = found.header;
  const header = { ...found.header, sequence: sequence + 1, holder: claim };
  const slot = 1 - found.slot;
  const { bytes, offset } = placed(header, slot);
  await disk.writeAt(bytes, offset);
  await disk.sync();
  replay.holder = claim;
  replay.end(end);
  const last = new Uint8Array(1);
  disk.read(last, end - 1);
  return {
    found: { header, slot, isWhole: true },
    replay,
    end,
    isOpenEnded: last[0] !== 10,
    claim,
  };
}

interface Read {
  readonly found: Found;
  readonly replay: Replay;
  readonly scan: Scan;
  readonly size: number;
}

/**
 * Reads the whole log.
 *
 * @param makes Whether a new file gets its header.
 */
async function readLog(disk: Disk, makes: boolean): Promise<Read> {
  let { size } = await disk.state();
  let found = readFound(disk, size);
  if (found === undefined && makes) {
    if (size > 0) await disk.truncate(0);
    // Where another process does the same, its header is the first one, and this one is no record.
    await disk.append(newHeader());
    await disk.sync();
    ({ size } = await disk.state());
    found = readFound(disk, size);
  }
  found ??= { header: NEW, slot: 0, isWhole: true };
  const { header } = found;
  if (size < header.start && makes) {
    // It was cut after a compaction that has not ended. What is appended must come where the next process reads.
    await disk.writeAt(bytesOf("\n"), header.start - 1);
    ({ size } = await disk.state());
  }
  const replay = new Replay(header.holder);
  const scan = new Scan(disk, header.generation, header.start);
  for (let blocks = 1; scan.next(size, replay); blocks++) {
    if (blocks % BLOCKS_A_TURN === 0) await sleep(0);
  }
  return { found, replay, scan, size };
}

/** Which process holds the log, as far as can be read while it is written. */
async function holderOf(disk: Disk): Promise<Claim | undefined> {
  const { replay } = await readLog(disk, false);
  return replay.holder;
}

/** Waits until a holder has ended or has given the log back. */
async function waitForEnd(
  disk: Disk,
  holder: Claim,
  kernelLock: KernelLock | undefined,
  until: number,
): Promise<boolean> {
  const host = hostName();
  const isElsewhere = host !== undefined && holder.host !== undefined &&
    host !== holder.host;
  // The kernel has released the holder's lock, or this process would not have it.
  if (kernelLock !== undefined && holder.hasKernelLock && !isElsewhere) {
    return true;
  }
  const isHere = host !== undefined && host === holder.host;
  let state = await disk.state();
  let changedAt = performance.now();
  for (;;) {
    if (isHere && hasEnded(holder)) return true;
    if (isReleased(disk, holder, state.size)) return true;
    const isSilent = performance.now() - changedAt > SILENT_MS ||
      Date.now() - state.mtimeMs > LONG_SILENT_MS;
    if (isSilent) return true;
    if (performance.now() >= until) return false;
    await sleep(POLL_MS);
    const next = await disk.state();
    if (next.size !== state.size || next.mtimeMs !== state.mtimeMs) {
      changedAt = performance.now();
    }
    state = next;
  }
}
