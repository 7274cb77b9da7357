// The Python of the bench: what Python's own tools say of it.

import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PYTHON, whyNoPython } from "../torch/python.ts";

const execute = promisify(execFile);
const bench = fileURLToPath(new URL("../../bench/gpu", import.meta.url));

const noPython = await whyNoPython();
const noTorch = await whyNoPython("torch");

const TOOLS = [
  {
    tool: "ruff check",
    command: ["ruff", "check", "--isolated", "--line-length", "130", "--select", "E,F,W,B,I", "--ignore", "B905"],
    why: await whyNoPython("ruff"),
  },
  {
    tool: "ruff format",
    command: ["ruff", "format", "--isolated", "--line-length", "120", "--check"],
    why: await whyNoPython("ruff"),
  },
  // Much of torch has no types.
  {
    tool: "mypy",
    command: ["mypy", "--strict", "--allow-untyped-calls"],
    why: await whyNoPython("mypy", "torch", "safetensors"),
  },
];

describe.skipIf(noPython)(`Python on the bench${noPython ? `, skipped: ${noPython}` : ""}`, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-bench-python-"));
    await cp(bench, folder, { recursive: true, filter: (path) => !path.endsWith("prepared") });
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("every file compiles", async () => {
    await execute(PYTHON, ["-W", "error", "-m", "compileall", "-q", folder]);
  });

  test.for(TOOLS)("$tool has nothing to say of it", { timeout: 300_000 }, async ({ tool, command, why }, { skip }) => {
    if (why) skip(why);
    const said = await execute(PYTHON, ["-m", ...command, "."], { cwd: folder }).then(
      () => "",
      ({ stdout }) => stdout,
    );
    expect(`${tool}: ${said}`).toBe(`${tool}: `);
  });

  const json = async (imports: string, value: string, argument: unknown = null) => {
    const script = `import dataclasses, json, sys\n${imports}\ngiven = json.loads(sys.argv[1])\nprint(json.dumps(${value}))`;
    const { stdout } = await execute(PYTHON, ["-c", script, JSON.stringify(argument)], { cwd: folder });
    return JSON.parse(stdout);
  };

  test("kernels are read out of what torch's profiler writes", async ({ skip }) => {
    if (noTorch) skip(noTorch);
    const event = (name: string, dur: number, cat = "kernel") => ({
      ...{ ph: "X", cat, name, dur },
      args: { grid: [2, 1, 1], block: [64, 1, 1], "registers per thread": 40, stream: 7 },
    });
    const durations = [3.5, 4, 9.25, 4];
    const trace = [
      { ph: "M", name: "process_name" },
      ...durations.map((dur) => event("score", dur)),
      event("score", 80, "cpu_op"),
      ...[1, 2].map((dur) => event("topk", dur)),
    ];
    const found = await json(
      "from card import kernels_of",
      "[dataclasses.asdict(k) for k in kernels_of(given, 2)]",
      trace,
    );
    const details = { grid: [2, 1, 1], block: [64, 1, 1], "registers per thread": 40 };
    expect(found).toMatchObject([
      { name: "score", us: 4, launches: 2, details },
      { name: "topk", us: 1.5, launches: 1, details },
    ]);
  });

  test("the time of a call is that of its round over the calls, and the floor is what reading takes", async ({
    skip,
  }) => {
    if (noTorch) skip(noTorch);
    const found = await json("from timing import summary", "summary([60, 20, 40], 2, 1_000_000, 2e11)");
    expect(found).toEqual({ us: 20, usLow: 10, usHigh: 30, floorUs: 5, ofFloor: 0.25 });
  });
});
