// hirec tune on the command line, on the software adapter: what it says and writes, and what compile and others do with it.

import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TuningFile } from "../../compiler/tuning/file.ts";
import { root, runProgram } from "./install.ts";

const cli = join(root, "dist/compiler/cli/main.js");

const SPEC = `import { defineModel, ffn, quantized, softmax } from "hirec";
export default defineModel("small", {
  head: softmax({ inputs: 32, rows: 200, weight: "w", estimator: quantized({ bits: 8 }), k: 4 }),
  mlp: ffn({
    inputs: 32, hidden: 64, gated: false, weights: { up: "up", down: "down" }, k: 2,
    activation: (z) => Math.max(z, 0), estimator: quantized({ bits: 8 }),
  }),
});
`;

let folder: string;
const hirec = (...args: string[]) => runProgram(process.execPath, [cli, ...args], folder);
const tuning = () => join(folder, "small.tuning.json");
const readFileOf = async () => JSON.parse(await readFile(tuning(), "utf8")) as TuningFile;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-tune-cli-"));
  await writeFile(join(folder, "small.hire.ts"), SPEC);
});
afterAll(() => rm(folder, { recursive: true }));

describe("hirec tune", () => {
  it("leaves nothing behind when it is interrupted", async () => {
    const child = spawn(process.execPath, [cli, "tune", "small.hire.ts", "--device", "software"], { cwd: folder });
    // Compiling a kernel for this adapter takes longer than that, and measuring it too.
    const interrupt = setTimeout(() => child.kill("SIGINT"), 1500);
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
      child.on("exit", (...how) => resolve(how)),
    );
    clearTimeout(interrupt);
    expect(code === 0 ? "it was done before" : (signal ?? code)).toBe("SIGINT");
    expect(await readdir(folder)).toEqual(["small.hire.ts"]);
  });

  it("measures the layers that have knobs, says what it chose and why, and writes it beside the spec", async () => {
    const { code, stdout, stderr } = await hirec("tune", "small.hire.ts", "--device", "software");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^small on .*SwiftShader.*, profile webgpu-subgroups\n/);
    expect(stdout).toMatch(/\n {2}head: it has no knobs here\n {2}mlp: \S.*\n/);
    expect(stdout).toContain("what is fast on the software adapter says nothing of GPUs");
    expect(stdout).toMatch(/\nsmall\.tuning\.json \([\d.]+ s\): commit it, hirec compile reads it\n$/);
    const { format, profiles } = await readFileOf();
    expect(format).toBe(1);
    expect(Object.keys(profiles)).toEqual(["webgpu-subgroups"]);
    expect(Object.keys(profiles["webgpu-subgroups"]!)).toEqual(["mlp"]);
    const { plan, knobs, reason, device, date, measured } = profiles["webgpu-subgroups"]!.mlp!;
    expect(plan).toMatch(/^[0-9a-f]{64}$/);
    expect([undefined, 64, 128]).toContain(knobs.gatherLanes);
    expect(stdout).toContain(`  mlp: ${reason}\n`);
    expect(device).toMatch(/SwiftShader/);
    expect(date).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(measured.slice(0, 2).map((each) => each.knobs)).toEqual([{ gatherLanes: 64 }, { gatherLanes: 128 }]);
    expect((await readdir(folder)).sort()).toEqual(["small.hire.ts", "small.tuning.json"]);
  });

  it("prints one JSON object, writes where it is told to, and keeps what else is there", async () => {
    const { profiles } = await readFileOf();
    const other = { "cuda-sm80": { head: profiles["webgpu-subgroups"]!.mlp! } };
    await writeFile(join(folder, "other.json"), JSON.stringify({ format: 1, profiles: other }));
    const args = ["--device", "software", "--profile", "webgpu-default", "--layer", "mlp", "--out", "other.json"];
    const { code, stdout } = await hirec("tune", "small.hire.ts", ...args, "--json");
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      command: "tune",
      ok: true,
      model: "small",
      out: "other.json",
      profile: "webgpu-default",
    });
    expect(Object.keys(result.layers)).toEqual(["mlp"]);
    const written = JSON.parse(await readFile(join(folder, "other.json"), "utf8")) as TuningFile;
    expect(written.profiles["cuda-sm80"]).toEqual(other["cuda-sm80"]);
    expect(written.profiles["webgpu-default"]).toEqual(result.layers && { mlp: result.layers.mlp });
  });

  it("writes nothing where nothing has knobs", async () => {
    const { code, stdout } = await hirec(
      "tune",
      "small.hire.ts",
      "--device",
      "software",
      "--layer",
      "head",
      "--out",
      "no.json",
    );
    expect(code).toBe(0);
    expect(stdout).toContain("head: it has no knobs here\nnothing to measure, nothing was written");
    expect(await readdir(folder)).not.toContain("no.json");
  });

  it.each([
    ["the spec", "small.hire.ts", "HIRE-RUN-009"],
    ["a folder", ".", "HIRE-PLAN-010"],
  ])("refuses to write to %s before it measures", async (_, out, problem) => {
    const { code, stderr } = await hirec("tune", "small.hire.ts", "--device", "software", "--out", out);
    expect(code).toBe(1);
    expect(stderr).toContain(`error ${problem}: `);
    expect(await readFile(join(folder, "small.hire.ts"), "utf8")).toBe(SPEC);
  });
});

describe("what compiles with a tuning file", () => {
  const choose = async (gatherLanes: number) => {
    const file = await readFileOf();
    const mlp = { ...file.profiles["webgpu-subgroups"]!.mlp!, knobs: { gatherLanes } };
    await writeFile(tuning(), JSON.stringify({ ...file, profiles: { "webgpu-subgroups": { mlp } } }, null, 2));
  };
  const kernel = () => readFile(join(folder, "generated/small/webgpu-subgroups/mlp.gather.wgsl"), "utf8");

  it("compiles what it says; warns of what does not fit, also where --check fails because of it", async () => {
    await choose(64);
    expect(await hirec("compile", "small.hire.ts")).toMatchObject({ code: 0, stderr: "" });
    expect(await kernel()).toContain("@workgroup_size(64)");
    await choose(96);
    const check = await hirec("compile", "small.hire.ts", "--check");
    expect(check.code).toBe(1);
    expect(check.stderr).toContain("error HIRE-PLAN-007: generated/small/webgpu-subgroups/mlp.gather.wgsl is stale");
    const warning =
      /(^|\n)warning HIRE-PLAN-011: Knob gatherLanes cannot be 96 here: layer "mlp" has its default schedule/;
    expect(check.stderr).toMatch(warning);
    const explained = await hirec("explain", "small.hire.ts");
    expect(explained.code).toBe(0);
    expect(explained.stderr).toMatch(warning);
    expect(explained.stderr).toMatch(
      /--> small\.tuning\.json:\d+:\d+\n.*\n {2}> *\d+ \| +"gatherLanes": 96\n.*\^{13}\n/,
    );
    const { code, stdout, stderr } = await hirec("compile", "small.hire.ts", "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, warnings: [{ code: "HIRE-PLAN-011", severity: "warning" }] });
    expect(await kernel()).toContain("@workgroup_size(256)");
  });

  it("compiles nothing when it cannot be read", async () => {
    await writeFile(tuning(), '{ "format": 1, ');
    const { code, stderr } = await hirec("compile", "small.hire.ts", "--out", "never");
    expect(code).toBe(1);
    expect(stderr).toContain("error HIRE-PLAN-010: The tuning file ");
    expect(await readdir(folder)).not.toContain("never");
  });
});
