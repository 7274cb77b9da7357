// The page's side of a worker that answers one request at a time.

import type { Diagnostic } from "../../runtime/errors.ts";

/** What is being done, and how much of it is done where that is known. */
export interface Progress {
  readonly label: string;
  /** From 0 to 1. */
  readonly share?: number;
}

export type Answer<Result> =
  | { readonly progress: Progress }
  | { readonly result: Result }
  | { readonly problems: readonly Diagnostic[] };

export type Outcome<Result> = Exclude<Answer<Result>, { readonly progress: Progress }>;

export interface WorkerCall<Request, Result> {
  /** Resolves with what the worker answers; never when it is closed before. */
  call(request: Request, onProgress: (progress: Progress) => void): Promise<Outcome<Result>>;
  /** Ends the worker, whatever it is doing, and frees what it holds. */
  close(): void;
}

export function callWorker<Request, Result>(worker: Worker): WorkerCall<Request, Result> {
  return {
    call: (request, onProgress) =>
      new Promise((resolve) => {
        worker.onmessage = ({ data }: MessageEvent<Answer<Result>>) => {
          if ("progress" in data) onProgress(data.progress);
          else resolve(data);
        };
        worker.onerror = ({ message }) => {
          const fix = "Load the page again; if it stays so, please report it";
          resolve({
            problems: [{ code: "", message: `The worker ended: ${message || "it could not be loaded"}`, fix }],
          });
        };
        worker.postMessage(request);
      }),
    close: () => worker.terminate(),
  };
}
