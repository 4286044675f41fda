// Scans: the pages that cursors lead to, on one server or on each of a cluster, and their elements one by one.
import type { Command, Reply } from "../resp/types.ts";
import { DepartedError } from "../pool/errors.ts";
import { callerOf } from "./caller.ts";
import {
  BOOLEAN,
  checkOptions,
  type OptionRule,
  RETRY,
  SIGNAL,
} from "./check.ts";
import { asNumber } from "./commands/conversions.ts";
import type { ScanSettings, ScanSource } from "./scan_options.ts";
import { withFate } from "./fate.ts";
import { refuseIfAborted } from "./rejection.ts";
import { knownRunOf, runOf } from "./server_run.ts";
import type { CommandSender } from "./send_options.ts";
import type { PushRight } from "../pool/connection/push_right.ts";
import { SingleCall } from "./single_call.ts";

const TEXT: OptionRule = [(value) => typeof value === "string", "a string"];

const RULES = {
  match: [
    (value) => typeof value === "string" || value instanceof Uint8Array,
    "a pattern, a string or bytes",
  ],
  count: [
    (value) => Number.isSafeInteger(value) && (value as number) > 0,
    "a whole number of 1 or more",
  ],
  type: TEXT,
  noValues: BOOLEAN,
  signal: SIGNAL,
  binary: BOOLEAN,
  retry: RETRY,
} satisfies Record<keyof ScanSettings, OptionRule>;

/** How many elements the server is asked to look at for a page, unless the caller says so. */
const COUNT = 1000;
/** A scan begins again where its server was replaced; more often than this it never ends. */
const MAX_RESTARTS = 100;

/** The elements of a page, as their iterator hands them out. */
type ElementsOf = (page: readonly Reply[]) => unknown[];

const paired = (page: readonly Reply[], second = (it: Reply) => it) => {
  const pairs: [Reply, Reply][] = [];
  for (let i = 0; i + 1 < page.length; i += 2) {
    pairs.push([page[i]!, second(page[i + 1]!)]);
  }
  return pairs;
};

function elementsOf({ name, settings }: ScanSource): ElementsOf {
  if (name === "ZSCAN") return (page) => paired(page, asNumber);
  return name === "HSCAN" && settings.noValues !== true
    ? (page) => paired(page)
    : (page) => page as unknown[];
}

function commandOf(
  { name, key, settings }: ScanSource,
  cursor: string,
): Command {
  const { match, count = COUNT, type, noValues } = settings;
  return [
    name,
    ...(key === undefined ? [] : [key]),
    cursor,
    ...(match === undefined ? [] : ["MATCH", match]),
    "COUNT",
    count,
    ...(type === undefined ? [] : ["TYPE", type]),
    ...(noValues === true ? ["NOVALUES"] : []),
  ];
}

/** One page that was asked for. */
interface Asked {
  readonly reply: Promise<Reply>;
  /** The run of the server that has answered; `undefined` if it does not say it. */
  run(): Promise<string | undefined> | undefined;
  /** No caller waits for it any more. */
  cancel(): void;
}

/** A call of a page: its connection is asked first which run of a server it leads to. */
class PageCall extends SingleCall {
  override sendOn(right: PushRight): void {
    void runOf(right);
    super.sendOn(right);
  }
}

function ask(
  sender: CommandSender,
  command: Command,
  { signal, binary, retry }: ScanSettings,
): Asked {
  const caller = callerOf(sender);
  if (caller === undefined) {
    const options = { ...(signal && { signal }), ...(binary && { binary }) };
    const reply = sender.send(command, options) as Promise<Reply>;
    return { reply, run: () => undefined, cancel() {} };
  }
  let call: PageCall | undefined;
  const reply = caller.sendBy(
    (engine, command, resolve, reject) =>
      call = new PageCall(
        engine,
        command,
        { signal, binary, retry },
        resolve,
        reject,
      ),
    command,
  );
  reply.catch(() => {}); // it may fail while the page before is being read
  return {
    reply,
    run: () => call?.connection && knownRunOf(call.connection),
    cancel: () => call?.abort(new Error("the scan has ended")),
  };
}

/**
 * The pages of one cursor.
 *
 * - The page after the one that is read is asked for, and no further one.
 * - A cursor means nothing to another server, nor to the same one after a restart:
 *   there the scan begins again.
 */
async function* pagesOfServer(
  sender: CommandSender,
  source: ScanSource,
): AsyncGenerator<unknown[], void, undefined> {
  const { settings } = source;
  const toElements = elementsOf(source);
  // The holder of a lease may put it into another state while a page is read.
  const isAhead = callerOf(sender) !== undefined;
  const next = (cursor: string) =>
    ask(sender, commandOf(source, cursor), settings);
  let asked: Asked | undefined = next("0");
  let isFirst = true;
  let run: string | undefined;
  let restarts = 0;
  try {
    while (asked !== undefined) {
      const reply: Reply = await asked.reply;
      const runNow: string | undefined = await asked.run();
      if (
        !isFirst && run !== runNow && run !== undefined && runNow !== undefined
      ) {
        if (++restarts > MAX_RESTARTS) throw restless(source);
        run = runNow;
        asked = next("0");
        continue;
      }
      isFirst = false;
      run = runNow ?? run;
      const { cursor, page } = partsOf(reply, source);
      const isLast = cursor === "0";
      asked = isLast || !isAhead ? undefined : next(cursor);
      const elements = toElements(page);
      if (elements.length > 0) yield elements;
      if (!isLast) asked ??= next(cursor);
    }
  } finally {
    asked?.cancel();
  }
}

const decoder = new TextDecoder();

function partsOf(
  reply: Reply,
  { name }: ScanSource,
): { cursor: string; page: Reply[] } {
  if (Array.isArray(reply) && reply.length === 2 && Array.isArray(reply[1])) {
    const [cursor, page] = reply as [Reply, Reply[]];
    return {
      cursor: cursor instanceof Uint8Array
        ? decoder.decode(cursor)
        : `${cursor}`,
      page,
    };
  }
  throw new TypeError(
    `Cannot read the reply to ${name}: expected a cursor and a page`,
  );
}

const restless = ({ name }: ScanSource): Error =>
  withFate(
    new Error(
      `Cannot end ${name}: its server was replaced ${MAX_RESTARTS} times meanwhile`,
    ),
    "unsent",
  );

/** The pages of each primary of a cluster, one after the other, until every one that is there was scanned. */
async function* pagesOfCluster(
  redis: CommandSender,
  source: ScanSource,
): AsyncGenerator<unknown[], void, undefined> {
  const { signal, retry } = source.settings;
  await redis.send(["PING"], { signal, retry }); // asks for the servers, if that is not done
  const done = new Set<unknown>();
  const idOf = (node: CommandSender) => callerOf(node)!.router.endpoint;
  const left = () => redis.nodes!().filter((node) => !done.has(idOf(node)));
  for (let [node] = left(); node !== undefined; [node] = left()) {
    done.add(idOf(node));
    try {
      yield* pagesOfServer(node, source);
    } catch (error) {
      if (!hasDeparted(error)) throw error;
      // Another server holds its keys: one that is new, or one that was scanned before.
      if (left().length === 0) done.clear();
    }
  }
}

const hasDeparted = (error: unknown): boolean =>
  error instanceof DepartedError ||
  (error instanceof Error && error.cause instanceof DepartedError);

/**
 * The pages of a scan.
 *
 * @throws {TypeError} If an option cannot be used.
 */
export function pagesOf(
  sender: CommandSender,
  source: ScanSource,
): AsyncGenerator<unknown[], void, undefined> {
  checkOptions(source.settings, RULES);
  return source.key === undefined && callerOf(sender)?.router.isCluster
    ? pagesOfCluster(sender, source)
    : pagesOfServer(sender, source);
}

/**
 * The elements of pages, one by one. A promise that is settled costs less than
 * the step of an async generator: that is most of what a scan adds to its replies.
 */
export class Elements
  implements AsyncIterableIterator<unknown, void, undefined> {
  readonly #pages: AsyncGenerator<unknown[], void, undefined>;
  readonly #signal: AbortSignal | undefined;
  #page: unknown[] = [];
  #at = 0;
  #turning: Promise<void> | undefined;
  #isOver = false;

  constructor(
    pages: AsyncGenerator<unknown[], void, undefined>,
    signal: AbortSignal | undefined,
  ) {
    this.#pages = pages;
    this.#signal = signal;
  }

  next(): Promise<IteratorResult<unknown, void>> {
    return this.#at < this.#page.length && this.#signal?.aborted !== true
      ? Promise.resolve({ value: this.#page[this.#at++], done: false })
      : this.#nextOfPages();
  }

  async return(): Promise<IteratorResult<unknown, void>> {
    this.#end();
    await this.#pages.return();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #nextOfPages(): Promise<IteratorResult<unknown, void>> {
    while (true) {
      if (this.#signal?.aborted && !this.#isOver) {
        await this.return();
        refuseIfAborted(this.#signal);
      }
      if (this.#at < this.#page.length) {
        return { value: this.#page[this.#at++], done: false };
      }
      if (this.#isOver) return { value: undefined, done: true };
      await (this.#turning ??= this.#turn());
    }
  }

  async #turn(): Promise<void> {
    try {
      const { value, done } = await this.#pages.next();
      if (done) this.#end();
      else if (!this.#isOver) {
        this.#page = value;
        this.#at = 0;
      }
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#turning = undefined;
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#page = [];
    this.#at = 0;
  }
}
