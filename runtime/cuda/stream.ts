// Streams and events, and waiting for them without blocking Node's event loop.

import type { CudaDevice } from "./device.ts";
import type { Handle } from "./driver.ts";

export interface CudaStream {
  /** The CUstream. */
  readonly handle: Handle;
  /**
   * Resolves when everything is done that is on the stream now.
   * @throws HireError HIRE-RUN-005 when a kernel went wrong.
   */
  finished(): Promise<void>;
  /** Frees the stream when its work is done. One that was borrowed stays. */
  destroy(): void;
}

/** A point on a stream, for measuring and waiting. */
export interface CudaEvent {
  readonly handle: Handle;
  record(stream: CudaStream): void;
  /** Resolves when the stream has come past the point where the event was recorded last. */
  finished(): Promise<void>;
  /** Milliseconds since another event; both have to be finished. */
  since(start: CudaEvent): number;
  destroy(): void;
}

export function createStream(device: CudaDevice): CudaStream {
  const handle = device.call("making a stream", (driver) => driver.createStream());
  return {
    ...streamOf(device, handle),
    destroy: () => device.call("freeing a stream", (driver) => driver.destroyStream(handle)),
  };
}

export function streamOf(device: CudaDevice, handle: Handle): CudaStream {
  return { handle, finished: () => finish(device, handle), destroy: () => {} };
}

export function createEvent(device: CudaDevice): CudaEvent {
  const handle = device.call("making an event", (driver) => driver.createEvent());
  return {
    handle,
    record: (stream) => device.call("recording an event", (driver) => driver.recordEvent(handle, stream.handle)),
    finished: () => passed(device, "waiting for an event", handle),
    since: (start) => device.call("measuring", (driver) => driver.elapsed(start.handle, handle)),
    destroy: () => device.call("freeing an event", (driver) => driver.destroyEvent(handle)),
  };
}

/** Called while something is waited for, with the milliseconds so far, but not in the first few; what it throws ends the wait. */
export type WhileWaiting = (milliseconds: number) => void;

/**
 * Resolves when everything is done that is on the stream now.
 * @throws HireError HIRE-RUN-005 when a kernel went wrong.
 */
export async function finish(
  device: CudaDevice,
  stream: Handle,
  doing = "waiting for a stream",
  whileWaiting?: WhileWaiting,
): Promise<void> {
  const event = device.call(doing, (driver) => {
    const created = driver.createEvent();
    try {
      driver.recordEvent(created, stream);
    } catch (thrown) {
      driver.destroyEvent(created);
      throw thrown;
    }
    return created;
  });
  const free = () => device.call(doing, (driver) => driver.destroyEvent(event));
  try {
    await passed(device, doing, event, whileWaiting);
  } catch (thrown) {
    // On a device that was lost nothing can be freed.
    try {
      free();
    } catch {}
    throw thrown;
  }
  free();
}

/** A kernel of a head takes microseconds; for so many milliseconds it is asked as often as the event loop turns. */
const EAGER_MILLISECONDS = 2;

async function passed(device: CudaDevice, doing: string, event: Handle, whileWaiting?: WhileWaiting): Promise<void> {
  const started = performance.now();
  while (!device.call(doing, (driver) => driver.hasPassed(event))) {
    const waited = performance.now() - started;
    const isEager = waited < EAGER_MILLISECONDS;
    if (!isEager) whileWaiting?.(waited);
    await new Promise<void>((resolve) => (isEager ? setImmediate(resolve) : setTimeout(resolve, 1)));
  }
}
