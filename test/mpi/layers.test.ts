// The command line under mpirun: a process per shard, what one process gives, and what is wrong said by every rank in time.

import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensors, writeSafetensors } from "../../runtime/node/safetensors-file.ts";
import { integers } from "../cases/fills.ts";
import { mulberry32 } from "../cases/random.ts";
import { filled } from "../cases/softmax-case.ts";
import { openMpi } from "./launch.ts";

const CLI = fileURLToPath(new URL("../../dist/compiler/cli/main.js", import.meta.url));
const SPEC = (shards: number) => `import { defineModel, ffn, quantized, softmax } from "hirec";
const estimator = quantized({ bits: 8 });
export default defineModel("small", {
  head: softmax({ inputs: 40, rows: 203, dtype: "f32", weight: "w", estimator, k: 9, candidates: 20, batch: 2, certify: "fallback", shards: { count: ${shards}, exchange: 2 } }),
  mlp: ffn({ inputs: 40, hidden: 101, dtype: "f32", weights: { gate: "g", up: "u", down: "d" }, activation: (z) => Math.max(z, 0), estimator, k: 6, shards: { count: ${shards}, layout: "contiguous" } }),
});
`;

let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(fileURLToPath(new URL("../..", import.meta.url)), "node_modules", ".hirec-mpi-"));
  const random = mulberry32(7);
  const tensor = (name: string, rows: number, columns: number) => {
    const values = filled(integers(3), rows, columns, random);
    return { name, dtype: "F32" as const, shape: [rows, columns], bytes: () => new Uint8Array(values.buffer) };
  };
  const weights = [tensor("w", 203, 40), tensor("g", 101, 40), tensor("u", 101, 40), tensor("d", 40, 101)];
  await writeSafetensors(at("weights.safetensors"), weights, {}, "HIRE-PACK-008");
  const inputs = [tensor("head.input", 5, 40), tensor("mlp.input", 5, 40)];
  await writeSafetensors(at("x.safetensors"), inputs, {}, "HIRE-RUN-009");
  for (const shards of [1, 2, 4]) {
    await writeFile(at(`small-${shards}.hire.ts`), SPEC(shards));
    await hirec(["compile", at(`small-${shards}.hire.ts`), "--out", at(String(shards))]);
    const files = ["--weights", at("weights.safetensors"), "--out", at(`${shards}.pack`)];
    await hirec(["pack", at(`${shards}/small`), ...files]);
  }
}, 120_000);
afterAll(() => rm(folder, { recursive: true }));

interface Outcome {
  readonly exitCode: number;
  readonly output: string;
}

function execute(command: string, given: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  return new Promise<Outcome>((resolve) => {
    const options = { env: { ...process.env, ...environment }, timeout: 60_000 };
    execFile(command, given, options, (error, stdout, stderr) => {
      resolve({ exitCode: error ? Number(error.killed ? -1 : (error.code ?? -1)) : 0, output: stdout + stderr });
    });
  });
}

const hirec = (given: readonly string[]) => execute(process.execPath, [CLI, ...given]);

function underMpi(ranks: number, shards: number, output: string, more: Readonly<Record<string, string>> = {}) {
  const [command, ...before] = openMpi.command(ranks);
  const run = ["run", at(`${shards}/small`), "--weights", at(`${shards}.pack`), "--input", at("x.safetensors")];
  const given = [...before, process.execPath, CLI, ...run, "--output", at(output), "--device", "reference"];
  given.push("--monitor", "2");
  return execute(command!, given, { ...openMpi.environment, ...more });
}

async function results(output: string): Promise<Record<string, string>> {
  const file = await openSafetensors(at(output));
  const read = [...file.tensors].map(async ([name, tensor]) => [name, String(await file.read(tensor))] as const);
  const all = Object.fromEntries(await Promise.all(read));
  await file.close();
  return all;
}

describe.skipIf(openMpi.missing)(`layers under mpirun${openMpi.missing ? `, skipped: ${openMpi.missing}` : ""}`, () => {
  test.each([2, 4])("%i processes give what one gives, and the head what the whole layer gives", async (shards) => {
    const { output, exitCode } = await underMpi(shards, shards, `mpi-${shards}`);
    expect(exitCode, output).toBe(0);
    expect(output).toContain(`${shards} shards, exchange: mpi (Open MPI`);
    expect(output.match(/ran on/g), "one process speaks for all").toHaveLength(1);
    const local = [
      "--weights",
      at(`${shards}.pack`),
      "--input",
      at("x.safetensors"),
      "--output",
      at(`local-${shards}`),
    ];
    const alone = await hirec(["run", at(`${shards}/small`), ...local, "--device", "reference", "--monitor", "2"]);
    const recall = /mlp: recall over shards \d+\.\d\d % on 3 tokens.*/;
    expect(recall.exec(output)?.[0]).toBe(recall.exec(alone.output)?.[0] ?? alone.output);
    const [overMpi, inOne] = [await results(`mpi-${shards}`), await results(`local-${shards}`)];
    expect(overMpi).toEqual(inOne);
    const whole = ["--weights", at("1.pack"), "--input", at("x.safetensors"), "--output", at("whole")];
    await hirec(["run", at("1/small"), ...whole, "--device", "reference"]);
    const { "head.indices": indices, "head.values": values } = await results("whole");
    expect(overMpi["head.indices"]).toBe(indices);
    expect(overMpi["head.values"]).toBe(values);
  });

  test("HIRE-RUN-016 from every rank when there are not as many processes as shards", async () => {
    const { output, exitCode } = await underMpi(2, 4, "none");
    expect(exitCode).not.toBe(0);
    expect(output.match(/HIRE-RUN-016: The plan has 4 shards, and there are 2 ranks/g)).toHaveLength(2);
    await expect(readFile(at("none"))).rejects.toThrow();
  });

  test("HIRE-PACK-006 when a rank is given the pack of another shard, and nobody hangs", async () => {
    await copyFile(at("2.pack.1-of-2"), at("kept"));
    await copyFile(at("2.pack.0-of-2"), at("2.pack.1-of-2"));
    const { output, exitCode } = await underMpi(2, 2, "none", { HIREC_COLLECTIVE_DEADLINE: "5" });
    await copyFile(at("kept"), at("2.pack.1-of-2"));
    expect(exitCode).not.toBe(0);
    expect(output).toContain("HIRE-PACK-006");
    expect(output).toMatch(/HIRE-RUN-015: Rank 1 .*closed/);
  });
});
