// What a machine can run, each point proven by doing it: a small model is compiled and run on every device, and the result
// is compared with the float64 reference.

import { findNvcc } from "../../runtime/cuda/nvcc.ts";
import { loadNvrtc } from "../../runtime/cuda/nvrtc.ts";
import { HireError, reasonOf } from "../../runtime/errors.ts";
import { plainProduct } from "../../runtime/measure/product.ts";
import type { CompiledSources } from "../../runtime/model.ts";
import { type DeviceChoice, type NodeDevice, requestNodeDevice, requestNullDevice } from "../../runtime/node/device.ts";
import { ONNX_INSTALL, requestProduct } from "../../runtime/node/onnx-product.ts";
import { loadModel } from "../../runtime/webgpu/model.ts";
import { compileKernel } from "../../runtime/webgpu/program.ts";
import { runOnCuda } from "./doctor/cuda.ts";
import { compareLayers, prepareTrial, type Trial } from "./doctor/trial.ts";

export interface Finding {
  readonly name: string;
  readonly state: "works" | "absent" | "broken";
  readonly detail: string;
  readonly fix?: string;
}

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
    detail: `${Object.keys(trial.compiled.sources).filter((file) => /\.(wgsl|cu)$/.test(file)).length} kernels from a small model`,
  });
  findings.push(await attempt("WGSL validation", () => validate(trial.compiled)));
  for (const [choice, name] of [
    ["webgpu", "device: GPU"],
    ["software", "device: software"],
  ] as const) {
    findings.push(await attempt(name, () => runTrial(trial, choice)));
  }
  findings.push(await findProduct());
  findings.push(await attempt("NVRTC", async () => (await loadNvrtc()).name, TOOLKIT));
  findings.push(await attempt("nvcc", async () => (await findNvcc()).name, TOOLKIT));
  findings.push(await attempt("device: CUDA", () => runOnCuda(trial)));
  findings.push({ name: "device: reference", state: "works", detail: "float64 on the CPU, slow" });
  return findings;
}

/** What calibration multiplies with. */
async function findProduct(): Promise<Finding> {
  const product = await requestProduct();
  if (product !== plainProduct) return { name: "matrix products", state: "works", detail: product.name };
  const fix = `For hirec calibrate and evaluate, which are ten times as fast with it: ${ONNX_INSTALL}`;
  return { name: "matrix products", state: "absent", detail: "onnxruntime-node is not installed", fix };
}

/** What compiles CUDA sources; either does, and whoever takes images along needs neither. */
const TOOLKIT =
  "For CUDA, install NVIDIA's toolkit (12.8 or later); not needed for WebGPU, nor with images of hirec compile --fatbin";

/** @param missing what to do when it fails in a way that hirec has no code for: then a part of the machine is absent. */
async function attempt(name: string, work: () => Promise<string>, missing?: string): Promise<Finding> {
  try {
    return { name, state: "works", detail: await work() };
  } catch (thrown) {
    const [problem] = thrown instanceof HireError ? thrown.diagnostics : [];
    const isAbsent = problem ? ABSENT.has(problem.code) : missing !== undefined;
    return {
      name,
      state: isAbsent ? "absent" : "broken",
      detail: problem?.message ?? reasonOf(thrown),
      fix: problem?.fix ?? missing ?? "Report it with this output",
    };
  }
}

/** No device, a package that is missing, a card before all profiles, nothing to compile with. */
const ABSENT: ReadonlySet<string> = new Set(["HIRE-RUN-001", "HIRE-RUN-006", "HIRE-RUN-007", "HIRE-RUN-011"]);

async function validate({ plan, sources }: CompiledSources): Promise<string> {
  const device = await requestNullDevice();
  try {
    const programs = plan.programs.filter(({ target }) => target === "wgsl");
    const kernels = programs.flatMap(({ layers }) => Object.values(layers).flatMap((layer) => layer.kernels));
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

async function compareOn({ device, description }: NodeDevice, trial: Trial): Promise<string> {
  const { compiled, weights } = trial;
  const ran: string[] = [];
  for (const { profile, ...program } of compiled.plan.programs) {
    if (program.target !== "wgsl" || !program.features.every((feature) => device.features.has(feature))) continue;
    const model = await loadModel(device, compiled, weights, { profile });
    await compareLayers(trial, model.layers, `${description}, profile ${profile}`);
    model.destroy();
    ran.push(profile);
  }
  return `${description}; ran ${ran.join(", ")} and matched the reference`;
}
