// Runs any number of tokens through a layer: all that the launches take is uploaded at once, all that they give is read back
// at once, and the memory between is kept for the next run.

import { batchOf } from "../batches.ts";
import { tokenCount } from "../layer.ts";
import type { LayerInputs, LayerOutputs } from "../layer-data.ts";
import type { BufferPlan, LayerPlan, LayerProgram } from "../plan.ts";
import type { CudaDevice } from "./device.ts";
import type { DevicePointer } from "./driver.ts";
import { allocateBytes } from "./memory.ts";
import { finish } from "./stream.ts";

export interface Runner {
  run(inputs: LayerInputs): Promise<LayerOutputs>;
  destroy(): void;
}

/** Waits for everything that is on a stream. */
export type Wait = (stream: bigint, doing: string) => Promise<void>;

/** Puts one launch on a stream, given the inputs and outputs by name. */
export type Launch = (stream: bigint, external: Readonly<Record<string, DevicePointer>>) => void;

interface Memory {
  readonly base: DevicePointer;
  readonly bytes: number;
}

export function createRunner(
  device: CudaDevice,
  name: string,
  plan: LayerPlan,
  { buffers }: Pick<LayerProgram, "buffers">,
  launch: Launch,
  wait: Wait = (stream, doing) => finish(device, stream, doing),
): Runner {
  const { batch } = plan;
  // A run takes the memory away, so that one beside it gets its own.
  let idle: Memory | undefined;
  let isDestroyed = false;
  const free = ({ base }: Memory) => device.call("freeing memory", (driver) => driver.free(base));
  const take = (bytes: number): Memory => {
    const found = idle;
    idle = undefined;
    if (found && found.bytes >= bytes) return found;
    if (found) free(found);
    return { base: allocateBytes(device, bytes, `Running layer "${name}"`), bytes };
  };
  const giveBack = (memory: Memory) => {
    if (idle || isDestroyed) free(memory);
    else idle = memory;
  };

  /** After something went wrong, which is what the caller has to know; on a device that was lost nothing can be freed. */
  const discard = (memory: Memory) => {
    try {
      free(memory);
    } catch {}
  };

  /** Uploads what all launches take, launches, and gives what all of them returned. */
  const exchange = async (doing: string, memory: Memory, layout: Layout, launches: number, given: Uint8Array) => {
    const stream = device.stream.handle;
    device.call(doing, (driver) => driver.copyToDevice(memory.base, given, stream));
    for (let each = 0; each < launches; each++) launch(stream, pointersOf(layout, memory.base, each));
    // Memory that is not page-locked is only copied to once the stream is there, and the call would wait for it.
    await wait(stream, doing);
    const found = new Uint8Array(layout.bytes - layout.inputBytes);
    device.call(doing, (driver) => driver.copyToHost(found, memory.base + BigInt(layout.inputBytes), stream));
    await wait(stream, doing);
    return found;
  };

  const run = async (inputs: LayerInputs): Promise<LayerOutputs> => {
    const doing = `running layer "${name}"`;
    const tokens = tokenCount(name, plan, inputs.x);
    const launches = Math.ceil(tokens / batch);
    const layout = layOut(buffers, launches);
    const memory = take(layout.bytes);
    const given = new Uint8Array(layout.inputBytes);
    for (const place of layout.inputs) fill(given, place, inputs[place.name]!, tokens, batch);
    const found = await exchange(doing, memory, layout, launches, given).catch((thrown) => {
      discard(memory);
      throw thrown;
    });
    giveBack(memory);
    return Object.fromEntries(
      layout.outputs.map((place) => [place.name, collect(found, place, layout.inputBytes, tokens, batch)]),
    );
  };
  const destroy = () => {
    isDestroyed = true;
    if (idle) free(idle);
    idle = undefined;
  };
  return { run, destroy };
}

/** Where a buffer's launches lie, `stride` bytes apart; all at one place where they share it. */
interface Place {
  readonly name: string;
  readonly bytes: number;
  readonly offset: number;
  readonly stride: number;
  readonly launches: number;
}

interface Layout {
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
  /** Outputs follow the inputs. */
  readonly inputBytes: number;
  readonly bytes: number;
}

/** What kernels ask of the address of a buffer. */
const ALIGNMENT = 16;

function layOut(buffers: readonly BufferPlan[], launches: number): Layout {
  let bytes = 0;
  const place = ({ name, bytes: each, shared }: BufferPlan): Place => {
    const offset = bytes;
    const aligned = Math.ceil(each / ALIGNMENT) * ALIGNMENT;
    bytes += shared ? aligned : aligned * launches;
    return { name, bytes: each, offset, stride: shared ? 0 : aligned, launches: shared ? 1 : launches };
  };
  const inputs = buffers.filter(({ role }) => role === "input").map(place);
  const inputBytes = bytes;
  const outputs = buffers.filter(({ role }) => role === "output").map(place);
  return { inputs, outputs, inputBytes, bytes };
}

function pointersOf({ inputs, outputs }: Layout, base: DevicePointer, launch: number): Record<string, DevicePointer> {
  return Object.fromEntries(
    [...inputs, ...outputs].map(({ name, offset, stride }) => [name, base + BigInt(offset + launch * stride)]),
  );
}

function fill(
  into: Uint8Array,
  { offset, stride, launches }: Place,
  values: Float32Array | Uint32Array,
  tokens: number,
  batch: number,
): void {
  for (let launch = 0; launch < launches; launch++) {
    const part = stride === 0 ? values : batchOf(values, tokens, launch, batch);
    into.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), offset + launch * stride);
  }
}

/** The bytes of all tokens, without what lies between launches and what the last one has too many. */
function collect(
  found: Uint8Array,
  { bytes, offset, stride, launches }: Place,
  inputBytes: number,
  tokens: number,
  batch: number,
): ArrayBuffer {
  const all = new Uint8Array((bytes / batch) * tokens);
  for (let launch = 0; launch < launches; launch++) {
    const start = offset - inputBytes + launch * stride;
    const rest = all.byteLength - launch * bytes;
    all.set(found.subarray(start, start + Math.min(bytes, rest)), launch * bytes);
  }
  return all.buffer;
}
