// What a machine can run, each point proven by doing it: a small head is compiled and run on every device, and the result
// is compared with the float64 reference.

import { defineModel, dense, ffn, quantized, softmax } from "../../dsl/index.ts";
import { HireError, reasonOf } from "../../runtime/errors.ts";
import type { LayerResult, WeightSource } from "../../runtime/layer.ts";
import type { CompiledSources } from "../../runtime/model.ts";
import { type DeviceChoice, type NodeDevice, requestNodeDevice, requestNullDevice } from "../../runtime/node/device.ts";
import { packWeights } from "../../runtime/pack/weight-tensors.ts";
import type { Plan } from "../../runtime/plan.ts";
import { createReference } from "../../runtime/reference/layer.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { compileKernel } from "../../runtime/webgpu/program.ts";

export interface Finding {
  readonly name: string;
  readonly state: "works" | "absent" | "broken";
  readonly detail: string;
  readonly fix?: string;
}

const INPUTS = 64;
const ROWS = 512;

export async function diagnose(): Promise<readonly Finding[]> {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const findings: Finding[] = [
    major > 20 || (major === 20 && minor >= 19)
      ? { name: "node", state: "works", detail: process.versions.node }
      : { name: "node", state: "broken", detail: process.versions.node, fix: "Install Node 20.19 or later" },
  ];
  const trial = await prepareTrial();
  findings.push({
    name: "compiler",
    state: "works",
    detail: `${Object.keys(trial.compiled.sources).filter((file) => file.endsWith(".wgsl")).length} kernels from a small model`,
  });
  findings.push(await attempt("WGSL validation", "absent", () => validate(trial.compiled)));
  for (const [choice, name] of [
    ["webgpu", "device: GPU"],
    ["software", "device: software"],
  ] as const) {
    findings.push(await attempt(name, "absent", () => runTrial(trial, choice)));
  }
  findings.push({ name: "device: reference", state: "works", detail: "float64 on the CPU, slow" });
  return findings;
}

interface Trial {
  readonly compiled: CompiledSources;
  readonly weights: WeightSource;
  readonly x: Float32Array;
  readonly expected: Readonly<Record<string, LayerResult>>;
}

async function prepareTrial(): Promise<Trial> {
  const { compileModel } = await import("../index.ts");
  const shape = { inputs: INPUTS, rows: ROWS, dtype: "f32", weight: "weight", k: 8, batch: 2 } as const;
  const model = defineModel("doctor", {
    quantized: softmax({ ...shape, estimator: quantized({ bits: 4 }) }),
    dense: softmax({ ...shape, estimator: dense() }),
    ffn: ffn({
      ...{ inputs: INPUTS, hidden: ROWS, dtype: "f32", gated: false, weights: { up: "up", down: "down" } },
      ...{ activation: (z) => Math.max(z, 0), estimator: quantized({ bits: 4 }), k: 8, batch: 2 },
    }),
  });
  const { plan, files } = compileModel(model);
  const weights = packTrial(plan);
  const x = wholeNumbers(2 * INPUTS, 7);
  const expected: Record<string, LayerResult> = {};
  for (const [name, layer] of Object.entries(plan.layers)) {
    expected[name] = await (await createReference(name, layer, weights)).run(x);
  }
  return { compiled: { plan, sources: Object.fromEntries(files) }, weights, x, expected };
}

function packTrial(plan: Plan): WeightSource {
  const bytes = new Uint8Array(wholeNumbers(ROWS * INPUTS, 1).buffer);
  const packed = Object.values(plan.layers).flatMap((layer) =>
    packWeights(layer, { weight: bytes, up: bytes, down: bytes }),
  );
  const data = new Map(packed.map((tensor) => [tensor.name, tensor.data]));
  return ({ name }) => data.get(name)!;
}

/** Small whole numbers: their sums are exact in f32, so every device must give the same bits. */
function wholeNumbers(count: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 28) - 8;
  });
}

async function attempt(name: string, whenMissing: "absent", work: () => Promise<string>): Promise<Finding> {
  try {
    return { name, state: "works", detail: await work() };
  } catch (thrown) {
    const [problem] = thrown instanceof HireError ? thrown.diagnostics : [];
    const missing = problem?.code === "HIRE-RUN-001" || problem?.code === "HIRE-RUN-007";
    return {
      name,
      state: missing ? whenMissing : "broken",
      detail: problem?.message ?? reasonOf(thrown),
      fix: problem?.fix ?? "Report it with this output",
    };
  }
}

async function validate({ plan, sources }: CompiledSources): Promise<string> {
  const device = await requestNullDevice();
  try {
    const kernels = plan.programs.flatMap(({ layers }) => Object.values(layers).flatMap((layer) => layer.kernels));
    for (const kernel of kernels) await compileKernel(device.device, kernel, sources[kernel.file]!);
    return `Dawn accepts all ${kernels.length} kernels`;
  } finally {
    device.close();
  }
}

async function runTrial(trial: Trial, choice: DeviceChoice): Promise<string> {
  const device = await requestNodeDevice(choice);
  try {
    return await compareOn(device, trial);
  } finally {
    device.close();
  }
}

async function compareOn(
  { device, description }: NodeDevice,
  { compiled, weights, x, expected }: Trial,
): Promise<string> {
  const ran: string[] = [];
  for (const { profile, ...program } of compiled.plan.programs) {
    if (program.target !== "wgsl" || !program.features.every((feature) => device.features.has(feature))) continue;
    const model = await loadModel(device, compiled, weights, { profile });
    for (const [name, layer] of Object.entries(model.layers)) {
      const result = await layer.run(x);
      const wanted = Object.entries(expected[name]!);
      const found: Readonly<Record<string, unknown>> = { ...result };
      if (wanted.some(([part, values]) => String(found[part]) !== String(values))) {
        throw new Error(`${description} gives wrong results for layer ${name}, profile ${profile}`);
      }
    }
    model.destroy();
    ran.push(profile);
  }
  return `${description}; ran ${ran.join(", ")} and matched the reference`;
}
