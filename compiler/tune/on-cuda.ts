// Measuring on a CUDA device: launches as one graph, so that what Node does between them is not measured, between two events.

import { requestCudaDevice } from "../../runtime/cuda/device.ts";
import { type CudaDeviceLayer, createCudaLayer } from "../../runtime/cuda/device-layer.ts";
import { pickCudaProgram } from "../../runtime/cuda/kernels.ts";
import type { CudaBuffer } from "../../runtime/cuda/memory.ts";
import { requireLayer, sourceOf } from "../../runtime/model.ts";
import { copiesOf, type LoadedLayer, type TuneDevice } from "./tune-device.ts";

/** Launches of a graph: the call that launches it takes less time than they do. */
const LAUNCHES_PER_GRAPH = 16;

/** @throws HireError HIRE-RUN-001 and -007. */
export async function openTuneCuda(): Promise<TuneDevice> {
  const device = await requestCudaDevice();
  const load: TuneDevice["load"] = async (compiled, name, weights, inputs) => {
    const plan = requireLayer(compiled.plan, name);
    const program = pickCudaProgram(compiled.plan, device).layers[name]!;
    const copies: CudaDeviceLayer[] = [];
    const memory: Record<string, CudaBuffer> = {};
    const destroy = () => {
      for (const each of [...copies, ...Object.values(memory)]) each.destroy();
    };
    try {
      const sources = { source: (file: string) => sourceOf(compiled, file), weights };
      while (copies.length < copiesOf(plan)) {
        copies.push(await createCudaLayer(device, name, plan, program, sources));
      }
      for (const { name: buffer, role, bytes } of program.buffers) {
        if (role === "input" || role === "output") memory[buffer] = device.allocate("u32", bytes / 4);
      }
      for (const [buffer, { buffer: bytes, byteOffset, length }] of Object.entries(inputs)) {
        await memory[buffer]!.write(new Uint32Array(bytes, byteOffset, length));
      }
    } catch (thrown) {
      destroy();
      throw thrown;
    }
    // As addresses: what is in them is the kernels' business.
    const external = Object.fromEntries(Object.entries(memory).map(([buffer, { pointer }]) => [buffer, pointer]));
    const time: LoadedLayer["time"] = async (launches) => {
      const graphs = Math.ceil(launches / LAUNCHES_PER_GRAPH);
      const [start, end] = [device.createEvent(), device.createEvent()];
      const graph = device.capture((stream) => {
        for (let i = 0; i < LAUNCHES_PER_GRAPH; i++) copies[i % copies.length]!.encode(stream, external);
      });
      try {
        start.record(device.stream);
        for (let i = 0; i < graphs; i++) graph.launch(device.stream);
        end.record(device.stream);
        await end.finished();
        return (end.since(start) * 1000) / (graphs * LAUNCHES_PER_GRAPH);
      } finally {
        for (const each of [graph, start, end]) each.destroy();
      }
    };
    return { run: (others = inputs) => copies[0]!.run(others), time, destroy };
  };
  return {
    description: `${device.name} (CUDA ${device.driverVersion})`,
    kind: "hardware",
    target: "cuda",
    pickProfile: (plan, profile) => pickCudaProgram(plan, device, profile).profile,
    load,
    close: device.close,
  };
}
