// CUDA graphs: a chain of launches that is recorded once and launched as one.

import { HireError } from "../errors.ts";
import type { CudaDevice } from "./device.ts";
import type { CudaStream } from "./stream.ts";

export interface CudaGraph {
  /** Puts the whole chain on a stream. The buffers and models of the recording must still be there. */
  launch(stream: CudaStream): void;
  destroy(): void;
}

export function captureGraph(device: CudaDevice, work: (stream: CudaStream) => void): CudaGraph {
  const doing = "capturing a graph";
  const stream = device.createStream();
  try {
    const graph = record(device, stream, work);
    try {
      const executable = device.call(doing, (driver) => driver.instantiate(graph));
      return {
        launch: ({ handle }) => device.call("launching a graph", (driver) => driver.launchGraph(executable, handle)),
        destroy: () => device.call("freeing a graph", (driver) => driver.destroyExecutable(executable)),
      };
    } finally {
      device.call(doing, (driver) => driver.destroyGraph(graph));
    }
  } finally {
    stream.destroy();
  }
}

function record(device: CudaDevice, stream: CudaStream, work: (stream: CudaStream) => unknown): bigint {
  const doing = "capturing a graph";
  const end = () => device.call(doing, (driver) => driver.endCapture(stream.handle));
  device.call(doing, (driver) => driver.beginCapture(stream.handle));
  let result: unknown;
  try {
    result = work(stream);
  } catch (thrown) {
    // What went wrong is what `work` threw; the recording may be invalid because of it.
    abandon(device, end);
    throw thrown;
  }
  if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") return end();
  abandon(device, end);
  // It may fail for the same reason, later.
  Promise.resolve(result).catch(() => undefined);
  throw new HireError({
    code: "HIRE-RUN-004",
    message: "The work to capture is asynchronous, so that most of it would happen after the recording",
    fix: "Give device.capture a function that only encodes, and load, write and wait before it",
  });
}

function abandon(device: CudaDevice, end: () => bigint): void {
  try {
    const graph = end();
    device.call("capturing a graph", (driver) => driver.destroyGraph(graph));
  } catch {
    // It was invalid, and there is no graph.
  }
}
