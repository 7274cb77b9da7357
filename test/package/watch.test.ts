import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { root } from "./install.ts";

const cli = join(root, "dist/compiler/cli/main.js");

const spec = ({ name = "small", k = "4", top = "" } = {}) => `import { defineModel, dense, softmax } from "hirec";
${top}
export default defineModel("${name}", {
  head: softmax({ inputs: 32, rows: 200, dtype: "f32", weight: "w", estimator: dense(), k: ${k} }),
});
`;

let folder: string;
let watching: ChildProcess | undefined;
let output = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hirec-watch-"));
  output = "";
});
afterEach(async () => {
  watching?.kill("SIGKILL");
  await rm(folder, { recursive: true });
});

const at = (file: string) => join(folder, file);
const put = (file: string, text: string) => writeFile(at(file), text);
const planned = async (model = "small") =>
  JSON.parse(await readFile(at(`generated/${model}/plan.json`), "utf8")).layers.head.k as number;

/** Starts watching, and waits until everything has been compiled once. */
async function watch(...args: string[]): Promise<void> {
  watching = spawn(process.execPath, [cli, "compile", ...args, "--watch"], { cwd: folder });
  for (const stream of [watching.stdout!, watching.stderr!]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  if (!args.includes("--json")) await said(/watching \d+ files?; end with Ctrl\+C\n/);
}

/** Waits for output, and takes everything up to it away. */
async function said(pattern: RegExp): Promise<string> {
  const begun = performance.now();
  for (;;) {
    const found = pattern.exec(output);
    if (found) {
      const end = found.index + found[0].length;
      const taken = output.slice(0, end);
      output = output.slice(end);
      return taken;
    }
    if (performance.now() - begun > 20_000) throw new Error(`Waited for ${pattern} in vain, but got:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Time in which a rebuild would have been seen. */
const quiet = async () => {
  await new Promise((resolve) => setTimeout(resolve, 600));
  return output;
};

const REBUILT = /^small: generated\/small, (\d) written, (\d) unchanged \(\d+ ms\)\n/m;
const FAILED = /\n\nsmall\.hire\.ts: 1 problem, nothing written \(\d+ ms\)\n/;

describe("hirec compile --watch", () => {
  it("compiles at once and again after a change, with one line and the time each", async () => {
    await put("small.hire.ts", spec());
    await watch("small.hire.ts");
    expect(await planned()).toBe(4);
    await put("small.hire.ts", spec({ k: "5" }));
    // The kernels of k = 5 are others, and so are plan and bindings.
    expect(await said(REBUILT)).toMatch(/^small: generated\/small, [1-9] written/);
    expect(await planned()).toBe(5);
    expect(await quiet()).toBe("");
  });

  it("watches what the spec imports: code, data, and imports that came later", async () => {
    await put("small.hire.ts", spec({ k: "size.k", top: 'import { size } from "./size.ts";' }));
    await put("size.ts", "export const size = { k: 6 };");
    await watch("small.hire.ts");
    await put("size.ts", 'import size from "./size.json" with { type: "json" };\nexport { size };\n');
    await said(/HIRE-SPEC-018[\s\S]*size\.json/);
    await said(FAILED);
    await put("size.json", '{ "k": 7 }');
    await said(REBUILT);
    expect(await planned()).toBe(7);
    await put("size.json", '{ "k": 8 }');
    await said(REBUILT);
    expect(await planned()).toBe(8);
    await put("size.json", '{ "k": "nine" }');
    await said(/HIRE-SPEC-010: `k` must be/);
    await put("size.json", '{ "k": 9 }');
    await said(REBUILT);
    expect(await planned()).toBe(9);
  });

  it("watches the tuning file, from before it is there", async () => {
    await put("small.hire.ts", spec());
    await watch("small.hire.ts");
    await put("small.tuning.json", '{ "format": 1, "profiles": { "webgpu-9000": {} } }');
    expect(await said(REBUILT)).toContain("warning HIRE-PLAN-011: The tuning is for profile");
    await put("small.tuning.json", '{ "format": 1 }');
    expect(await said(FAILED)).toContain("error HIRE-PLAN-010: The tuning file small.tuning.json cannot be read");
    await rm(at("small.tuning.json"));
    await said(REBUILT);
    expect(await quiet()).toBe("");
  });

  it("shows what is wrong with the place, keeps the output, and goes on", async () => {
    await put("small.hire.ts", spec());
    await watch("small.hire.ts");
    await put("small.hire.ts", spec({ k: "400" }));
    expect(await said(FAILED)).toMatch(/error HIRE-SPEC-012: `k` \(400\).*\n +--> small\.hire\.ts:4:/);
    await put("small.hire.ts", "export default {");
    expect(await said(FAILED)).toContain("HIRE-SPEC-002");
    await put("small.hire.ts", spec({ top: 'const wrong: number = "text"; export { wrong };' }));
    expect(await said(FAILED)).toContain("HIRE-SPEC-003");
    expect(await planned()).toBe(4);
    await put("small.hire.ts", spec({ k: "3" }));
    await said(REBUILT);
    expect(await planned()).toBe(3);
  });

  it("starts with a spec that is wrong, or not there yet", async () => {
    await put("small.hire.ts", spec({ k: "400" }));
    await watch("small.hire.ts", "late.hire.ts");
    await put("late.hire.ts", spec({ name: "late" }));
    await said(/^late: generated\/late/m);
    await put("small.hire.ts", spec());
    await said(REBUILT);
  });

  it("takes a save by rename for one change, and a file that was deleted back when it comes", async () => {
    await put("small.hire.ts", spec());
    await watch("small.hire.ts");
    await put("small.hire.ts~", spec({ k: "5" }));
    await rename(at("small.hire.ts~"), at("small.hire.ts"));
    await said(REBUILT);
    await rm(at("small.hire.ts"));
    await new Promise((resolve) => setTimeout(resolve, 120));
    await put("small.hire.ts", spec({ k: "6" }));
    expect(await said(REBUILT)).not.toContain("HIRE-SPEC-001");
    expect(await planned()).toBe(6);
    await rm(at("small.hire.ts"));
    await said(/HIRE-SPEC-001/);
    await said(FAILED);
    await put("small.hire.ts", spec({ k: "7" }));
    await said(REBUILT);
    expect(await planned()).toBe(7);
  });

  it("compiles only the specs that a change concerns", async () => {
    await put("small.hire.ts", spec({ k: "k", top: 'import { k } from "./k.ts";' }));
    await put("other.hire.ts", spec({ name: "other" }));
    await put("k.ts", "export const k = 2;");
    await put("unrelated.ts", "");
    await watch("small.hire.ts", "other.hire.ts");
    await put("unrelated.ts", "export {};");
    expect(await quiet()).toBe("");
    await put("k.ts", "export const k = 3;");
    await said(REBUILT);
    expect(await quiet()).toBe("");
  });

  it("refuses a second spec of one model, until it has another name", async () => {
    await put("small.hire.ts", spec());
    await put("other.hire.ts", spec({ name: "other", k: "5" }));
    await watch("small.hire.ts", "other.hire.ts");
    await put("other.hire.ts", spec({ k: "5" }));
    await said(/HIRE-SPEC-019[\s\S]*other\.hire\.ts: 1 problem/);
    expect(await planned()).toBe(4);
    await put("other.hire.ts", spec({ name: "third" }));
    await said(/^third: generated\/third/m);
  });

  it("prints one JSON object per compile with --json", async () => {
    await put("small.hire.ts", spec());
    await watch("small.hire.ts", "--json");
    const first = JSON.parse(await said(/\n/));
    expect(first).toMatchObject({ ok: true, spec: "small.hire.ts", models: [{ model: "small", stale: [] }] });
    await put("small.hire.ts", spec({ k: "400" }));
    expect(JSON.parse(await said(/\n/))).toMatchObject({ ok: false, diagnostics: [{ code: "HIRE-SPEC-012" }] });
  });

  it.each(["SIGINT", "SIGTERM"] as const)("ends with code 0 on %s and leaves only whole files", async (signal) => {
    await mkdir(at("empty"));
    await put("small.hire.ts", spec());
    await watch("small.hire.ts");
    watching!.kill(signal);
    const [code, by] = await once(watching!, "exit");
    expect({ code, by, output }).toEqual({ code: 0, by: null, output: "" });
    expect((await readdir(at("generated/small"))).filter((file) => file.includes("tmp"))).toEqual([]);
  });

  it("ends at once with what no change of a file can mend", async () => {
    await put("small.hire.ts", spec());
    const args = ["compile", "small.hire.ts", "--watch", "--profile", "webgpu-9000"];
    watching = spawn(process.execPath, [cli, ...args], { cwd: folder });
    const [code] = await once(watching, "exit");
    expect(code).toBe(1);
  });

  it("cannot be asked to check at the same time", async () => {
    await put("small.hire.ts", spec());
    watching = spawn(process.execPath, [cli, "compile", "small.hire.ts", "--watch", "--check"], { cwd: folder });
    const [code] = await once(watching, "exit");
    expect(code).toBe(2);
  });
});
