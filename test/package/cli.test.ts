import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSafetensors, writeSafetensors } from "hirec/runtime/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root, runProgram } from "./install.ts";

const cli = join(root, "dist/compiler/cli/main.js");

let folder: string;
const hirec = (...args: string[]) => runProgram(process.execPath, [cli, ...args], folder);

const spec = (changes: Record<string, string> = {}) => {
  const options = {
    inputs: "32",
    rows: "200",
    dtype: '"f32"',
    weight: '"w"',
    estimator: "quantized({ bits: 8 })",
    k: "4",
  };
  const body = Object.entries({ ...options, ...changes }).map(([name, value]) => `    ${name}: ${value},`);
  return `import { defineModel, quantized, softmax } from "hirec";
export default defineModel("small", {
  head: softmax({
${body.join("\n")}
  }),
});
`;
};

const floats = (count: number, value: (i: number) => number) =>
  new Uint8Array(Float32Array.from({ length: count }, (_, i) => value(i)).buffer);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-cli-"));
  await writeFile(join(folder, "small.hire.ts"), spec());
  await writeFile(join(folder, "wrong.hire.ts"), spec({ candidates: "2" }));
  // Row r is r at input r mod 32: a token that is 1 at input i finds the largest row with r mod 32 = i.
  const weights = floats(200 * 32, (at) => (at % 32 === Math.floor(at / 32) % 32 ? Math.floor(at / 32) : 0));
  await writeSafetensors(
    join(folder, "w.safetensors"),
    [{ name: "w", dtype: "F32", shape: [200, 32], bytes: () => weights }],
    {},
    "HIRE-RUN-009",
  );
  const tokens = floats(3 * 32, (at) => (at % 32 === [7, 8, 31][Math.floor(at / 32)] ? 1 : 0));
  await writeSafetensors(
    join(folder, "x.safetensors"),
    [{ name: "head.input", dtype: "F32", shape: [3, 32], bytes: () => tokens }],
    {},
    "HIRE-RUN-009",
  );
});
afterAll(() => rm(folder, { recursive: true }));

describe("hirec compile", () => {
  it("writes a folder per model, then only what changed, and removes what is emitted no longer", async () => {
    expect(await hirec("compile", "small.hire.ts")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("6 written, 0 unchanged"),
    });
    expect((await hirec("compile", "small.hire.ts")).stdout).toContain("0 written, 6 unchanged");
    const kernel = join(folder, "generated/small/webgpu-default/head.score_select.wgsl");
    await writeFile(join(folder, "generated/small/old.wgsl"), await readFile(kernel));
    await writeFile(join(folder, "generated/small/notes.txt"), "mine");
    expect((await hirec("compile", "small.hire.ts")).stdout).toContain("0 written, 6 unchanged, 1 removed");
    expect((await readdir(join(folder, "generated/small"))).sort()).toEqual([
      "index.ts",
      "notes.txt",
      "plan.json",
      "webgpu-default",
      "webgpu-subgroups",
    ]);
  });

  it("with --check writes nothing and names every file that is stale, missing or orphaned", async () => {
    await hirec("compile", "small.hire.ts", "--out", "checked");
    expect((await hirec("compile", "small.hire.ts", "--out", "checked", "--check")).code).toBe(0);
    const at = (file: string) => join(folder, "checked/small", file);
    await writeFile(at("orphan.wgsl"), await readFile(at("webgpu-default/head.score_select.wgsl")));
    await writeFile(at("plan.json"), "{}");
    await rm(at("webgpu-default/head.score_select.wgsl"));
    const { code, stderr } = await hirec("compile", "small.hire.ts", "--out", "checked", "--check");
    expect(code).toBe(1);
    expect(stderr).toContain("checked/small/plan.json is stale");
    expect(stderr).toContain("checked/small/webgpu-default/head.score_select.wgsl is missing");
    expect(stderr).toContain("checked/small/orphan.wgsl is orphaned");
    expect(await readFile(at("plan.json"), "utf8")).toBe("{}");
  });

  it("writes nothing at all when one of several specs is wrong, and shows the place", async () => {
    const { code, stderr } = await hirec("compile", "small.hire.ts", "wrong.hire.ts", "--out", "never");
    expect(code).toBe(1);
    expect(stderr).toContain("error HIRE-SPEC-011: `k` (4) is larger than `candidates` (2)");
    expect(stderr).toContain("--> wrong.hire.ts:10:17");
    expect(stderr).toMatch(/> +10 \| {5}candidates: 2,\n.*\^/);
    expect(stderr).toContain("fix: ");
    expect(await readdir(folder)).not.toContain("never");
  });

  it("says so when a spec awaits what never comes, instead of ending without a word", async () => {
    await writeFile(join(folder, "waits.hire.ts"), `await new Promise(() => {});\n${spec()}`);
    const { code, stderr } = await hirec("compile", "waits.hire.ts", "--out", "never");
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("awaits something that never") });
  });

  it("refuses two specs that define one model", async () => {
    await writeFile(join(folder, "again.hire.ts"), spec());
    const { code, stderr } = await hirec("compile", "small.hire.ts", "again.hire.ts", "--out", "never");
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("HIRE-SPEC-019") });
    expect(await readdir(folder)).not.toContain("never");
  });

  it("compiles for one profile when asked, and says which there are when asked for another", async () => {
    await hirec("compile", "small.hire.ts", "--out", "one", "--profile", "webgpu-default");
    expect((await readdir(join(folder, "one/small"))).sort()).toEqual(["index.ts", "plan.json", "webgpu-default"]);
    const { code, stderr } = await hirec("compile", "small.hire.ts", "--profile", "webgpu-9000");
    expect({ code, stderr }).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("webgpu-subgroups, webgpu-default"),
    });
  });

  it("prints one JSON object with --json, for success and for failure", async () => {
    const good = await hirec("compile", "small.hire.ts", "--json");
    expect(JSON.parse(good.stdout)).toMatchObject({ command: "compile", ok: true, models: [{ model: "small" }] });
    const bad = await hirec("compile", "wrong.hire.ts", "--json");
    expect(JSON.parse(bad.stdout)).toMatchObject({
      ok: false,
      diagnostics: [{ code: "HIRE-SPEC-011", span: { line: 10, column: 17 } }],
    });
    expect(bad.stderr).toBe("");
  });
});

describe("hirec init", () => {
  it("writes a project, says what comes next, and refuses to do it twice", async () => {
    const first = JSON.parse((await hirec("init", "new/project", "--json")).stdout);
    expect(first).toMatchObject({
      created: ["lm-head.hire.ts", "lm-head.test.ts", "package.json"],
      next: expect.arrayContaining(["cd new/project", "npm run kernels"]),
    });
    expect((await readdir(join(folder, "new/project"))).sort()).toEqual(first.created);
    const again = await hirec("init", "new/project");
    expect(again).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("error HIRE-CLI-002: new/project/lm-head"),
    });
  });
});

describe("hirec check", () => {
  it("reports every spec's problems and writes nothing", async () => {
    await writeFile(join(folder, "typed.hire.ts"), `${spec()}const wrong: number = "text"; export { wrong };\n`);
    const { code, stderr } = await hirec("check", "small.hire.ts", "wrong.hire.ts", "typed.hire.ts");
    expect(code).toBe(1);
    expect(stderr).toContain("HIRE-SPEC-011");
    expect(stderr).toContain("HIRE-SPEC-003");
    expect((await hirec("check", "small.hire.ts")).stdout).toBe("small: ok, layers head\n");
  });
});

describe("hirec explain", () => {
  it("shows the same for a spec and for its compiled folder, in 80 columns", async () => {
    await hirec("compile", "small.hire.ts");
    const ofSpec = await hirec("explain", "small.hire.ts");
    const ofFolder = await hirec("explain", "generated/small");
    expect(ofSpec).toEqual(ofFolder);
    expect(ofSpec.stdout).toMatch(
      /^small, from small.hire.ts\n\nlayer head\n +computes +softmax: the 4 best of 200 rows/,
    );
    expect(ofSpec.stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
    const { model, layers } = JSON.parse((await hirec("explain", "generated/small", "--json")).stdout) as never;
    expect({ model, layers }).toMatchObject({ model: "small", layers: [{ layer: "head", reads: [{ batch: 1 }] }] });
  });

  it("prints the page of a code, and names near codes for one that does not exist", async () => {
    const page = await hirec("explain", "HIRE-SPEC-011");
    expect(page).toMatchObject({ code: 0, stdout: expect.stringContaining("k is larger than candidates\n\nWhat it") });
    expect(JSON.parse((await hirec("explain", "spec-011", "--json")).stdout)).toMatchObject({
      code: "HIRE-SPEC-011",
      text: expect.stringContaining("## What to do"),
    });
    const unknown = await hirec("explain", "HIRE-SPEC-11");
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("Did you mean HIRE-SPEC-011") });
  });
});

describe("hirec pack and hirec run", () => {
  it("pack and run a module on the reference and on the software adapter with the same, right answer", async () => {
    await hirec("compile", "small.hire.ts");
    const packed = await hirec("pack", "generated/small", "--weights", "w.safetensors", "--out", "small.pack");
    expect(packed).toMatchObject({ code: 0, stdout: expect.stringContaining("3 tensors") });
    for (const device of ["reference", "software"]) {
      const ran = await hirec(
        "run",
        "generated/small",
        "--weights",
        "small.pack",
        "--input",
        "x.safetensors",
        "--output",
        `${device}.safetensors`,
        "--device",
        device,
      );
      expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining("head on 3 tokens") });
      const output = await openSafetensors(join(folder, `${device}.safetensors`));
      const indices = output.tensors.get("head.indices")!;
      const values = output.tensors.get("head.values")!;
      expect([indices.dtype, indices.shape, values.dtype, values.shape]).toEqual(["U32", [3, 4], "F32", [3, 4]]);
      expect([...new Uint32Array((await output.read(indices)).buffer)]).toEqual([
        199, 167, 135, 103, 168, 136, 104, 72, 191, 159, 127, 95,
      ]);
      expect([...new Float32Array((await output.read(values)).buffer)].slice(0, 4)).toEqual([199, 167, 135, 103]);
      await output.close();
    }
  });

  it("take a spec in the place of a compiled folder", async () => {
    const packed = await hirec("pack", "small.hire.ts", "--weights", "w.safetensors", "--out", "direct.pack", "--json");
    expect(JSON.parse(packed.stdout)).toMatchObject({ command: "pack", ok: true, model: "small" });
  });

  it("leave no output behind when something is wrong", async () => {
    await mkdir(join(folder, "empty"));
    const missing = await hirec("pack", "small.hire.ts", "--weights", "x.safetensors", "--out", "empty/none.pack");
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("HIRE-PACK-003") });
    await hirec("pack", "small.hire.ts", "--weights", "w.safetensors", "--out", "small.pack");
    const wrongInput = await hirec(
      "run",
      "small.hire.ts",
      "--weights",
      "small.pack",
      "--input",
      "w.safetensors",
      "--output",
      "empty/y.safetensors",
    );
    expect(wrongInput).toMatchObject({ code: 1, stderr: expect.stringContaining("HIRE-RUN-002") });
    expect(await readdir(join(folder, "empty"))).toEqual([]);
  });

  it("refuse a pack that was made for another plan", async () => {
    await writeFile(join(folder, "other.hire.ts"), spec({ estimator: "quantized({ bits: 4 })" }));
    await hirec("pack", "other.hire.ts", "--weights", "w.safetensors", "--out", "other.pack");
    const { code, stderr } = await hirec(
      "run",
      "small.hire.ts",
      "--weights",
      "other.pack",
      "--input",
      "x.safetensors",
      "--output",
      "y.safetensors",
    );
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("HIRE-PACK-006") });
  });
});

describe("hirec calibrate, evaluate and record-script", () => {
  beforeAll(async () => {
    // A token is a row of the weights with some of another.
    const rows = floats(200 * 32, (at) => Math.sin(at * at));
    const tokens = floats(200 * 32, (at) => Math.sin(at * at) + Math.sin((at + 160) ** 2) / 4);
    const store = (name: string, tensor: string, bytes: Uint8Array) =>
      writeSafetensors(
        join(folder, name),
        [{ name: tensor, dtype: "F32", shape: [200, 32], bytes: () => bytes }],
        {},
        "HIRE-RUN-009",
      );
    await store("rows.safetensors", "w", rows);
    await store("tokens.safetensors", "head.input", tokens);
    await writeFile(join(folder, "calibrated.hire.ts"), spec());
  });

  it("shows what it proposes, writes it, and finds it good on a device", async () => {
    const files = ["--weights", "rows.safetensors", "--activations", "tokens.safetensors"];
    const shown = await hirec("calibrate", "calibrated.hire.ts", ...files, "--target", "recall=0.9", "--fresh");
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ {2}> {2}quantized\(bits: \d\) .* %/m) });
    expect(shown.stdout).toMatch(/^-.*bits: 8.*\n\+.*bits: \d/m);
    expect(shown.stdout).toContain("not written; --write does");
    const written = await hirec("calibrate", "calibrated.hire.ts", ...files, "--target", "recall=0.9", "--write");
    expect(written).toMatchObject({ code: 0, stdout: expect.stringContaining("next: hirec pack") });
    const again = await hirec("calibrate", "calibrated.hire.ts", ...files, "--target", "recall=0.9", "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({ command: "calibrate", ok: true, diff: "", written: false });
    await hirec("pack", "calibrated.hire.ts", ...files, "--out", "calibrated.pack");
    const evaluated = await hirec(
      ...["evaluate", "calibrated.hire.ts", "--weights", "calibrated.pack", "--exact", "rows.safetensors"],
      ...["--activations", "tokens.safetensors", "--device", "software", "--recall", "0.9"],
    );
    expect(evaluated).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ {2}recall {2,}9\d\.\d\d %/m) });
    expect(evaluated.stdout).not.toContain("warning");
  });

  it("refuse what cannot be, with its code", async () => {
    const few = ["--weights", "rows.safetensors", "--activations", "x.safetensors"];
    const calibrated = await hirec("calibrate", "small.hire.ts", ...few);
    expect(calibrated).toMatchObject({ code: 1, stderr: expect.stringContaining("HIRE-CAL-002") });
    const script = await hirec("record-script", "small.hire.ts");
    expect(script).toMatchObject({ code: 1, stderr: expect.stringContaining("HIRE-CAL-008") });
    await writeFile(join(folder, "module.hire.ts"), spec({ weight: '"lm_head.weight"' }));
    const written = await hirec("record-script", "module.hire.ts", "--out", "record.py");
    expect(written).toMatchObject({ code: 0, stdout: expect.stringContaining("record.py records head") });
    expect(await readFile(join(folder, "record.py"), "utf8")).toContain('"head": ("lm_head", 32)');
  });
});

describe("the command line", () => {
  it.each("init compile check explain pack calibrate evaluate record-script run doctor".split(" "))(
    "%s has help with an example",
    async (command) => {
      const { code, stdout } = await hirec(command, "--help");
      expect(code).toBe(0);
      expect(stdout).toMatch(/Examples:\n +hirec/);
      expect(stdout).toContain("--json");
    },
  );

  it.each([
    [[], "Name a command."],
    [["compil"], "Did you mean compile?"],
    [["compile"], "Not enough non-option arguments"],
    [["compile", "small.hire.ts", "--outt", "x"], "Unknown argument: outt"],
    [["run", "small.hire.ts"], "Missing required arguments: weights, input, output"],
    [["run", "s", "--weights", "w", "--input", "x", "--output", "y", "--device", "abacus"], "Choices:"],
  ])("answers the mistake %j with exit code 2 and what is wrong", async (args, message) => {
    const { code, stderr } = await hirec(...args);
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  });

  it("states its exit codes", async () => {
    expect((await hirec("--help")).stdout).toMatch(/Exit codes: 0 done, 1 .* 2 .* 3 /s);
  });

  it("doctor proves a device by running it, and ends with 3 where there is none", async () => {
    const good = await hirec("doctor", "--json");
    expect(good.code).toBe(0);
    const { findings } = JSON.parse(good.stdout) as { findings: { name: string; state: string; detail: string }[] };
    expect(findings.find(({ name }) => name === "device: software")).toMatchObject({
      state: "works",
      detail: expect.stringContaining("ran webgpu-subgroups, webgpu-default and matched the reference"),
    });
    for (const name of ["device: CUDA", "NVRTC", "nvcc"]) {
      const found = findings.find((finding) => finding.name === name);
      if (found?.state !== "works") {
        expect(found).toMatchObject({ state: "absent", fix: expect.stringContaining("nstall") });
      }
    }
  });
});
