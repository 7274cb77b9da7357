// Device errors as HireErrors. WebGPU reports what it refuses later and elsewhere; unasked, a refused command just leaves
// its buffers as they were, which would be read back as results.

import { HireError, onOneLine } from "../errors.ts";

export interface Guard {
  /**
   * Runs work that only issues commands, and waits until the device has accepted all of them. Error scopes are a stack of
   * the whole device, so they open and close within one turn: nobody else's commands fall between.
   * @throws HireError HIRE-RUN-004 when a command is refused, HIRE-RUN-005 when the device is lost.
   */
  issue<Result>(doing: string, work: () => Result): Promise<Result>;
  /** Waits for the device. @throws HireError HIRE-RUN-005 when it is lost meanwhile. */
  wait<Result>(doing: string, promise: Promise<Result>): Promise<Result>;
}

export function createGuard(device: GPUDevice): Guard {
  let lost: GPUDeviceLostInfo | undefined;
  device.lost.then((info) => {
    lost = info;
  });
  const throwIfLost = (doing: string) => {
    if (!lost) return;
    throw new HireError({
      code: "HIRE-RUN-005",
      message: `The device was lost while ${doing}: ${lost.message || lost.reason}`,
      fix: "Request a new device and load the module again",
    });
  };
  const wait = async <Result>(doing: string, promise: Promise<Result>): Promise<Result> => {
    try {
      return await promise;
    } catch (thrown) {
      // The loss itself may be announced a turn after the failures that it causes.
      await new Promise((resolve) => setTimeout(resolve));
      throwIfLost(doing);
      throw thrown;
    }
  };
  const issue = async <Result>(doing: string, work: () => Result): Promise<Result> => {
    throwIfLost(doing);
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("validation");
    let scopes: Promise<(GPUError | null)[]>;
    let result: Result;
    try {
      result = work();
    } finally {
      scopes = Promise.all([device.popErrorScope(), device.popErrorScope()]);
      // When `work` throws, that is the error to report.
      scopes.catch(() => undefined);
    }
    const objection = (await wait(doing, scopes)).find((error) => error !== null);
    throwIfLost(doing);
    if (!objection) return result;
    throw new HireError({
      code: "HIRE-RUN-004",
      message: `The device refused a command while ${doing}: ${onOneLine(objection.message)}`,
      fix: "Check that the buffers belong to this device and are not destroyed, and that the weights fit its memory",
    });
  };
  return { issue, wait };
}
