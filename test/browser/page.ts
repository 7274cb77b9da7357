// What the tests run in a page or in a worker. Bundled with the runtime's public entry.

import {
  deviceDescriptor,
  dropKept,
  type FetchProgress,
  fetchCompiled,
  fetchPack,
  type GpuModel,
  HireError,
  type KeptModel,
  keepLoaded,
  loadModel,
  type Plan,
  requestDevice,
  type WeightSource,
} from "../../runtime/index.ts";
import { readPieces } from "../../runtime/layer.ts";

/** A compiled case, its pack and its inputs on the site. */
export interface CaseFiles {
  readonly folder: string;
  readonly digest?: string;
  readonly profile?: string;
  readonly x: readonly number[];
  readonly mask?: readonly number[];
  readonly uniforms?: readonly number[];
}

const LAYER = "head";

async function runLayer(model: GpuModel, { x, mask, uniforms }: CaseFiles) {
  const layer = model.layers[LAYER]!;
  const tokens = Float32Array.from(x);
  const taken = {
    ...(mask && { mask: Uint8Array.from(mask) }),
    ...(uniforms && { uniforms: Float32Array.from(uniforms) }),
  };
  const result = layer.kind === "softmax" ? await layer.run(tokens, taken) : await layer.run(tokens);
  // NaN and infinities survive the way to the test as numbers of an array.
  return Object.fromEntries(Object.entries(result).map(([name, values]) => [name, Array.from(values as Float32Array)]));
}

async function open({ folder, digest, profile }: CaseFiles) {
  const compiled = await fetchCompiled(folder);
  const progress: FetchProgress[] = [];
  const pack = await fetchPack(`${folder}/case.pack`, compiled.plan, {
    keep: folder,
    ...(digest && { digest }),
    onProgress: (each) => progress.push(each),
  });
  const options = profile ? { profile } : {};
  const load = (device: GPUDevice) => loadModel(device, compiled, pack.weights, options);
  return { request: () => requestDevice(compiled.plan, options), load, pack, progress, plan: compiled.plan };
}

/** From addresses to results, and to a device on which nothing is left. */
async function run(files: CaseFiles) {
  const { request, load, progress } = await open(files);
  const device = await request();
  const alive = new Set<GPUBuffer>();
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    alive.add(buffer);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      alive.delete(buffer);
      destroy();
    };
    return buffer;
  };
  const model = await load(device);
  const result = await runLayer(model, files);
  const held = alive.size;
  model.destroy();
  device.destroy();
  return { result, profile: model.profile, progress, held, left: alive.size };
}

/** A model beside other work on a device of the page's own, in one command buffer, within a scope of the page's own. */
async function share(files: CaseFiles) {
  const { load, plan } = await open(files);
  const adapter = (await navigator.gpu.requestAdapter())!;
  const { requiredFeatures, requiredLimits } = deviceDescriptor(plan, adapter);
  const device = await adapter.requestDevice({ requiredFeatures: [...requiredFeatures], requiredLimits });
  device.pushErrorScope("validation");
  const model = await load(device);
  const layer = model.softmax(LAYER);
  const { batch, inputs, k } = layer.plan;
  const buffer = (words: number) => {
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    return device.createBuffer({ size: words * 4, usage: STORAGE | COPY_SRC | COPY_DST });
  };
  const [given, x, indices, values] = [batch * inputs, batch * inputs, batch * k, batch * k].map(buffer) as [
    GPUBuffer,
    GPUBuffer,
    GPUBuffer,
    GPUBuffer,
  ];
  device.queue.writeBuffer(given, 0, Float32Array.from(files.x.slice(0, batch * inputs)));
  const read = device.createBuffer({ size: indices.size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(given, x);
  layer.encode(encoder, { x, indices, values });
  encoder.copyBufferToBuffer(indices, read);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  const objection = await device.popErrorScope();
  model.destroy();
  const ofPage = buffer(1);
  return { indices: [...new Uint32Array(read.getMappedRange())], objection: objection?.message, usable: ofPage.size };
}

let kept: { readonly model: KeptModel<GpuModel>; readonly devices: GPUDevice[]; readonly losses: string[] } | undefined;

/** The first call loads; later ones use what is loaded, or load it again when its device was lost. */
async function keep(files: CaseFiles) {
  if (!kept) {
    const { request, load } = await open(files);
    const devices: GPUDevice[] = [];
    const losses: string[] = [];
    const requestAndWatch = async () => {
      const device = await request();
      devices.push(device);
      device.lost.then(({ reason }) => losses.push(reason));
      return device;
    };
    kept = { model: keepLoaded(requestAndWatch, load), devices, losses };
  }
  const result = await kept.model.use((model) => runLayer(model, files));
  return { result, devices: kept.devices.length, losses: kept.losses };
}

/** Every tensor of a pack, read and hashed; or what it was refused for. */
async function readAll({ folder, digest }: CaseFiles, abortAt = Number.POSITIVE_INFINITY) {
  const { plan } = await fetchCompiled(folder);
  const controller = new AbortController();
  let progress: FetchProgress | undefined;
  try {
    const { weights } = await fetchPack(`${folder}/case.pack`, plan, {
      keep: folder,
      ...(digest && { digest }),
      signal: controller.signal,
      onProgress: (each) => {
        progress = each;
        if (each.loaded >= abortAt) controller.abort();
      },
    });
    return { hashes: await hashTensors(plan, weights), progress };
  } catch (thrown) {
    return { refused: thrown instanceof HireError ? thrown.message : String(thrown), progress };
  }
}

async function hashTensors(plan: Plan, weights: WeightSource): Promise<string[]> {
  const hashes: string[] = [];
  for (const tensor of Object.values(plan.layers).flatMap((layer) => layer.tensors)) {
    const pieces: Uint8Array[] = [];
    for await (const piece of readPieces(weights, tensor)) pieces.push(piece);
    const whole = await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer();
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
    hashes.push(Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join(""));
  }
  return hashes;
}

/**
 * Milliseconds since the start at which the pack was read, the layers were loaded, and there was a result. The first time,
 * reading is measured by itself and what it kept is dropped again.
 */
async function time(files: CaseFiles, isFirst: boolean) {
  const now = () => performance.now();
  const reading = now();
  await readAll(files);
  const read = now() - reading;
  if (isFirst) await dropKept(files.folder);
  const started = now();
  const { request, load } = await open(files);
  const model = await load(await request());
  const loaded = now() - started;
  await runLayer(model, files);
  const first = now() - started;
  model.destroy();
  return { read, loaded, first };
}

/** What the policy forbids: the tests see that it does. */
async function evaluate() {
  return new Function("return 1")();
}

const jobs = { run, share, keep, readAll, time, evaluate };
export type Jobs = typeof jobs;

type Job = (...given: unknown[]) => Promise<unknown>;
const isWorker = typeof document === "undefined";
if (isWorker) {
  self.onmessage = async ({ data: [name, given] }: MessageEvent<[keyof Jobs, unknown[]]>) => {
    try {
      self.postMessage({ done: await (jobs[name] as Job)(...given) });
    } catch (thrown) {
      self.postMessage({ failed: String(thrown) });
    }
  };
} else {
  const violations: string[] = [];
  document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => violations.push(violatedDirective));
  const inPage: Job = async (name, given) => {
    // Whatever a test evaluates is exempt from the policy, up to its first turn.
    await new Promise((resolve) => setTimeout(resolve));
    return (jobs[name as keyof Jobs] as Job)(...(given as unknown[]));
  };
  Object.assign(globalThis, { inPage, inWorker, violations });
}

function inWorker(name: keyof Jobs, given: unknown[]): Promise<unknown> {
  const worker = new Worker(import.meta.url, { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      worker.terminate();
      if ("done" in data) resolve(data.done);
      else reject(new Error(data.failed));
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage([name, given]);
  });
}
