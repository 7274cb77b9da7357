// The compiler as the page sees it: a worker that is replaced when a spec does not end.

import type { Answer, Request, Tasks } from "./protocol.ts";

/** A spec ran for so many seconds without an end, and was ended. */
export class Endless extends Error {
  constructor(seconds: number) {
    super(`The spec ran for ${seconds} s without coming to an end`);
  }
}

export interface Compiler {
  /** @throws Endless where the worker had to be replaced; Error for a bug of hirec, or when the compiler cannot be loaded. */
  ask<Task extends keyof Tasks>(
    task: Task,
    ...given: Parameters<Tasks[Task]>
  ): Promise<Awaited<ReturnType<Tasks[Task]>>>;
}

interface Pending {
  readonly resolve: (result: never) => void;
  readonly reject: (reason: Error) => void;
}

/** @param seconds that a task may take, once the compiler is there; a large model compiles in less than one. */
export function startCompiler(seconds: number): Compiler {
  let crew = hire();
  let last = 0;

  function hire() {
    const worker = new Worker(new URL("worker.ts", import.meta.url), { type: "module" });
    const pending = new Map<number, Pending>();
    const refuseAll = (reason: Error) => {
      for (const { reject } of pending.values()) reject(reason);
      pending.clear();
    };
    const ready = new Promise<void>((resolve, reject) => {
      worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
        if (data === "ready") return resolve();
        const { resolve: give, reject: refuse } = pending.get(data.id) ?? {};
        pending.delete(data.id);
        if ("bug" in data) refuse?.(new Error(data.bug));
        else give?.(data.result as never);
      });
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        const reason = new Error(event.message || "The compiler could not be loaded");
        reject(reason);
        refuseAll(reason);
      });
    });
    // Whoever asks is told; before that, nobody waits.
    ready.catch(() => {});
    return { worker, pending, ready, refuseAll };
  }

  return {
    async ask(task, ...given) {
      const { worker, pending, ready, refuseAll } = crew;
      await ready;
      const id = ++last;
      const answered = new Promise<never>((resolve, reject) => pending.set(id, { resolve, reject }));
      worker.postMessage({ id, task, given } satisfies Request);
      const timer = setTimeout(() => {
        worker.terminate();
        if (crew.worker === worker) crew = hire();
        refuseAll(new Endless(seconds));
      }, seconds * 1000);
      return answered.finally(() => clearTimeout(timer));
    },
  };
}
