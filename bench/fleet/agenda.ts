// Agenda: what is due when, on a clock that stands still between two events.

/** What is done when its time has come. */
export type Task = () => void;

/** A queue of tasks by time; those of the same time keep their order. */
export class Agenda {
  /** The time, in milliseconds. */
  now = 0;
  // A binary heap in three arrays: the time, the order of arrival, the task.
  readonly #times: number[] = [];
  readonly #numbers: number[] = [];
  readonly #tasks: Task[] = [];
  #count = 0;

  /** When the next task is due; `Infinity` if there is none. */
  get nextAt(): number {
    return this.#times.length > 0 ? this.#times[0]! : Infinity;
  }

  /** Puts a task on the agenda; what is due already is done next. */
  at(time: number, task: Task): void {
    const due = Math.max(time, this.now);
    const number = this.#count++;
    let hole = this.#times.length;
    this.#times.push(due);
    this.#numbers.push(number);
    this.#tasks.push(task);
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      // A later number never goes before an earlier one of the same time.
      if (this.#times[parent]! <= due) break;
      this.#move(parent, hole);
      hole = parent;
    }
    this.#times[hole] = due;
    this.#numbers[hole] = number;
    this.#tasks[hole] = task;
  }

  /** Does the next task, at its time. */
  step(): void {
    const task = this.#tasks[0]!;
    this.now = this.#times[0]!;
    const time = this.#times.pop()!;
    const number = this.#numbers.pop()!;
    const last = this.#tasks.pop()!;
    const size = this.#times.length;
    let hole = 0;
    while (size > 0) {
      let child = 2 * hole + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(child + 1, child)) child++;
      const isLater = this.#times[child]! > time ||
        (this.#times[child] === time && this.#numbers[child]! > number);
      if (isLater) break;
      this.#move(child, hole);
      hole = child;
    }
    if (size > 0) {
      this.#times[hole] = time;
      this.#numbers[hole] = number;
      this.#tasks[hole] = last;
    }
    task();
  }

  #isBefore(a: number, b: number): boolean {
    return this.#times[a]! < this.#times[b]! ||
      (this.#times[a] === this.#times[b] &&
        this.#numbers[a]! < this.#numbers[b]!);
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from]!;
    this.#numbers[to] = this.#numbers[from]!;
    this.#tasks[to] = this.#tasks[from]!;
  }
}
