// A folder for the file of an outbox, removed after the test.

/** A folder of its own, and the path of a file in it that is not there yet. */
export class Folder implements AsyncDisposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "outbox" });
  readonly file: string = `${this.path}/queued`;
  /** For a service with this file. */
  readonly options = { env: { OUTBOX: this.file } };

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
