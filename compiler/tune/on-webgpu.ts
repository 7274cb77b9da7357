// Measuring on a WebGPU device: launches in one submission, between two timestamps where the device has them, else until the
// queue is done.

import type { LayerInputs } from "../../runtime/layer-data.ts";
import { requireLayer, sourceOf } from "../../runtime/model.ts";
import type { LayerProgram } from "../../runtime/plan.ts";
import { BUFFER_USAGE, MAP_READ } from "../../runtime/webgpu/constants.ts";
import { createDeviceLayer, type DeviceLayer } from "../../runtime/webgpu/device-layer.ts";
import { createGuard } from "../../runtime/webgpu/guard.ts";
import type { OpenDevice } from "../../runtime/webgpu/open-device.ts";
import { pickProgram } from "../../runtime/webgpu/program.ts";
import { copiesOf, type LoadedLayer, type TuneDevice } from "./tune-device.ts";

/** Takes the device over: closing destroys it. */
export function tuneOnWebgpu({ device, kind, description }: OpenDevice): TuneDevice {
  const guard = createGuard(device);
  const load: TuneDevice["load"] = async (compiled, name, weights, inputs) => {
    const plan = requireLayer(compiled.plan, name);
    const program = pickProgram(compiled.plan, device).layers[name]!;
    const layers: DeviceLayer[] = [];
    let buffers: Record<string, GPUBuffer> = {};
    const destroy = () => {
      for (const each of [...layers, ...Object.values(buffers)]) each.destroy();
    };
    try {
      // A processor's own caches hold little of what it computes on meanwhile.
      const copies = kind === "hardware" ? copiesOf(plan) : 1;
      const source = (file: string) => sourceOf(compiled, file);
      while (layers.length < copies) {
        layers.push(await createDeviceLayer(device, name, plan, program, source, weights));
      }
      buffers = await guard.issue(`preparing layer "${name}"`, () => externalBuffers(device, program, inputs));
    } catch (thrown) {
      destroy();
      throw thrown;
    }
    const time: LoadedLayer["time"] = async (launches) => {
      const doing = `measuring layer "${name}"`;
      const clock = createClock(device);
      try {
        const begun = await guard.issue(doing, () => {
          const encoder = device.createCommandEncoder({ label: name });
          for (let i = 0; i < launches; i++) {
            layers[i % layers.length]!.encode(encoder, buffers, clock?.writes(i === 0, i === launches - 1));
          }
          clock?.resolve(encoder);
          const commands = encoder.finish();
          const begun = performance.now();
          device.queue.submit([commands]);
          return begun;
        });
        await guard.wait(doing, device.queue.onSubmittedWorkDone());
        const elapsed = (performance.now() - begun) * 1000;
        return ((await clock?.microseconds()) || elapsed) / launches;
      } finally {
        clock?.destroy();
      }
    };
    return { run: (others = inputs) => layers[0]!.run(others), time, destroy };
  };
  return {
    description,
    kind,
    target: "wgsl",
    pickProfile: (plan, profile) => pickProgram(plan, device, profile).profile,
    load,
    close: () => device.destroy(),
  };
}

/** The buffers of one launch that a caller owns. */
function externalBuffers(device: GPUDevice, program: LayerProgram, inputs: LayerInputs): Record<string, GPUBuffer> {
  const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_DST;
  const external = program.buffers.filter(({ role }) => role === "input" || role === "output");
  const buffers = Object.fromEntries(
    external.map(({ name, bytes }) => [name, device.createBuffer({ label: name, size: bytes, usage })]),
  );
  for (const [name, values] of Object.entries(inputs)) {
    device.queue.writeBuffer(buffers[name]!, 0, values as Float32Array<ArrayBuffer>);
  }
  return buffers;
}

interface Clock {
  /** What the pass of a launch writes. */
  writes(isFirst: boolean, isLast: boolean): GPUComputePassTimestampWrites | undefined;
  resolve(encoder: GPUCommandEncoder): void;
  /** From the first launch to the last, when they are done; 0 where the device's clock was set back meanwhile. */
  microseconds(): Promise<number>;
  destroy(): void;
}

/** WebGPU's flag values (W3C WebGPU §5.1.1). */
const QUERY_RESOLVE = 0x200;

function createClock(device: GPUDevice): Clock | undefined {
  if (!device.features.has("timestamp-query")) return undefined;
  const querySet = device.createQuerySet({ type: "timestamp", count: 2 });
  const resolved = device.createBuffer({ size: 16, usage: QUERY_RESOLVE | BUFFER_USAGE.COPY_SRC });
  const readable = device.createBuffer({ size: 16, usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST });
  return {
    writes: (isFirst, isLast) =>
      isFirst || isLast
        ? {
            querySet,
            ...(isFirst && { beginningOfPassWriteIndex: 0 }),
            ...(isLast && { endOfPassWriteIndex: 1 }),
          }
        : undefined,
    resolve: (encoder) => {
      encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, readable, 0, 16);
    },
    microseconds: async () => {
      await readable.mapAsync(MAP_READ);
      const [begun = 0n, done = 0n] = new BigUint64Array(readable.getMappedRange());
      return Math.max(0, Number(done - begun) / 1000);
    },
    destroy: () => {
      for (const each of [querySet, resolved, readable]) each.destroy();
    },
  };
}
