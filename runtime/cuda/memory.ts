// Device memory of the caller's: made here with a type, or a pointer from elsewhere that is checked before a kernel gets it.

import { HireError } from "../errors.ts";
import { type CudaDevice, outOfMemory } from "./device.ts";
import { CudaCallError, type DevicePointer, RESULT } from "./driver.ts";
import { finish } from "./stream.ts";

interface Values {
  readonly f32: Float32Array;
  readonly u32: Uint32Array;
}

export type BufferDtype = keyof Values;

const ARRAYS = { f32: Float32Array, u32: Uint32Array } as const;

export interface CudaBuffer<Dtype extends BufferDtype = BufferDtype> {
  readonly dtype: Dtype;
  readonly length: number;
  /** 0n once it is destroyed. */
  readonly pointer: DevicePointer;
  /** Copies numbers to the start of the buffer, on the device's own stream; resolves when they are there. */
  write(values: Values[Dtype]): Promise<void>;
  /** Copies the numbers back, on the device's own stream: other streams have to have finished writing them. */
  read(): Promise<Values[Dtype]>;
  destroy(): void;
}

/** Memory that a kernel is to use: a buffer, or the address of memory that somebody else allocated on this device. */
export type CudaMemory<Dtype extends BufferDtype = BufferDtype> = CudaBuffer<Dtype> | DevicePointer;

const WORD_BYTES = 4;

export function allocateBuffer<Dtype extends BufferDtype>(
  device: CudaDevice,
  dtype: Dtype,
  length: number,
): CudaBuffer<Dtype> {
  const bytes = length * WORD_BYTES;
  let pointer = allocateBytes(device, bytes, `A buffer of ${length} ${dtype}`);
  return {
    dtype,
    length,
    get pointer() {
      return pointer;
    },
    write: async (values) => {
      if (values.byteLength > bytes) throw tooMany(values.length, length);
      const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      await copyAndWait(device, "writing a buffer", (to) => to.copyToDevice(pointer, data, device.stream.handle));
    },
    read: async () => {
      const data = new Uint8Array(bytes);
      // Memory that is not page-locked is only copied to once the stream is there, and the call would wait for it.
      await finish(device, device.stream.handle);
      await copyAndWait(device, "reading a buffer", (from) => from.copyToHost(data, pointer, device.stream.handle));
      return new ARRAYS[dtype](data.buffer) as Values[Dtype];
    },
    destroy: () => {
      if (pointer !== 0n) device.call("freeing a buffer", (driver) => driver.free(pointer));
      pointer = 0n;
    },
  };
}

async function copyAndWait(device: CudaDevice, doing: string, copy: Parameters<CudaDevice["call"]>[1]): Promise<void> {
  device.call(doing, copy);
  await finish(device, device.stream.handle, doing);
}

function tooMany(given: number, length: number): HireError {
  return new HireError({
    code: "HIRE-RUN-002",
    message: `${given} numbers do not fit into a buffer of ${length}`,
    fix: "Allocate a larger buffer, or write fewer numbers",
  });
}

/**
 * @param what needs it, for the message, such as `Layer "head"`.
 * @throws HireError HIRE-RUN-013 with the bytes that are needed and free.
 */
export function allocateBytes(device: CudaDevice, bytes: number, what: string): DevicePointer {
  return device.call("allocating memory", (driver) => {
    try {
      return driver.allocate(Math.max(bytes, 1));
    } catch (thrown) {
      if (!(thrown instanceof CudaCallError) || thrown.number !== RESULT.OUT_OF_MEMORY) throw thrown;
      const { free, total } = driver.memoryInfo();
      throw outOfMemory(
        `${what} needs ${bytes} bytes of device memory, of which ${free} of ${total} are free on ${device.name}`,
        thrown,
      );
    }
  });
}

/** What a kernel's parameter points to. */
export interface Wanted {
  readonly name: string;
  readonly bytes: number;
  readonly dtype: string;
}

/** Loads of 16 bytes at once trap on other addresses (CUDA C++ Programming Guide, "Device Memory Accesses"). */
const ALIGNMENT = 16n;

/**
 * The addresses of the caller's memory, after all of it was checked.
 * @throws HireError HIRE-RUN-002 for memory that is missing, of another dtype, null, misaligned, too small, not the device's, or
 * used for two buffers.
 */
export function checkMemory(
  device: CudaDevice,
  layer: string,
  wanted: readonly Wanted[],
  given: Readonly<Record<string, CudaMemory | undefined>>,
): Record<string, DevicePointer> {
  const pointers: Record<string, DevicePointer> = {};
  for (const want of wanted) {
    const memory = given[want.name];
    const problem = problemOf(device, want, memory);
    if (problem !== undefined) throw refuse(layer, want, problem);
    const pointer = addressOf(memory!);
    // Kernels are told that their parameters do not overlap (`__restrict__`).
    const other = wanted.find(({ name, bytes }) => {
      const start = pointers[name];
      return start !== undefined && pointer < start + BigInt(bytes) && start < pointer + BigInt(want.bytes);
    });
    if (other) throw refuse(layer, want, `overlaps buffer "${other.name}"`);
    pointers[want.name] = pointer;
  }
  return pointers;
}

function addressOf(memory: CudaMemory): DevicePointer {
  return typeof memory === "bigint" ? memory : memory.pointer;
}

function problemOf(device: CudaDevice, { bytes, dtype }: Wanted, memory: CudaMemory | undefined): string | undefined {
  if (memory === undefined || memory === null) return "is not given";
  if (typeof memory !== "bigint" && typeof memory.pointer !== "bigint") return "is neither a CudaBuffer nor a bigint";
  if (typeof memory !== "bigint" && memory.dtype !== dtype) return `is ${memory.dtype}, not ${dtype}`;
  const pointer = addressOf(memory);
  if (pointer === 0n) return typeof memory === "bigint" ? "is the null pointer" : "is destroyed";
  if (pointer < 0n || pointer >= 2n ** 64n) return `is ${pointer}, which is no address`;
  const address = `0x${pointer.toString(16)}`;
  if (pointer % ALIGNMENT !== 0n) return `is at ${address}, which is not a multiple of 16`;
  const range = device.call("checking a pointer", (driver) => {
    try {
      return driver.addressRange(pointer);
    } catch (thrown) {
      const isUnknown = thrown instanceof CudaCallError && UNKNOWN.has(thrown.number);
      if (isUnknown) return undefined;
      throw thrown;
    }
  });
  if (!range) return `is at ${address}, where ${device.name} has no memory allocated`;
  const rest = Number(range.base + BigInt(range.bytes) - pointer);
  return rest < bytes ? `has ${rest} bytes, but needs ${bytes}` : undefined;
}

/** What is said of an address where nothing is. */
const UNKNOWN: ReadonlySet<number> = new Set([RESULT.INVALID_VALUE, RESULT.NOT_FOUND]);

function refuse(layer: string, { name, bytes, dtype }: Wanted, problem: string): HireError {
  return new HireError({
    code: "HIRE-RUN-002",
    message: `Buffer "${name}" of layer "${layer}" ${problem}`,
    fix: `Pass memory of this device for ${bytes / WORD_BYTES} ${dtype}, from device.allocate or as the address of an allocation, a multiple of 16`,
  });
}
