// That the driver and NCCL on the CPU have the C ABI of the real ones: they are compiled against NVIDIA's own headers, where there
// are any.

import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const execute = promisify(execFile);
const folder = fileURLToPath(new URL("../cuda-host", import.meta.url));

const toolkits = existsSync("/usr/local") ? readdirSync("/usr/local").filter((name) => name.startsWith("cuda")) : [];
const header = toolkits.map((name) => `/usr/local/${name}/include/cuda.h`).find((path) => existsSync(path));
const includes = [...toolkits.map((name) => `/usr/local/${name}/include`), "/usr/local/include", "/usr/include"];
const ncclFolders = [...(process.env.NCCL_HOME ? [`${process.env.NCCL_HOME}/include`] : []), ...includes];
const ncclHeader = ncclFolders.map((folder) => `${folder}/nccl.h`).find((path) => existsSync(path));

/** Whether a source compiles. */
function compile(source: string, ...flags: readonly string[]) {
  const running = execute("g++", ["-std=c++20", "-fsyntax-only", ...flags, `-I${folder}`, "-x", "c++", "-"]);
  running.child.stdin!.end(source);
  return running;
}

const missing = header ? undefined : "there is no cuda.h below /usr/local/cuda*";

describe.skipIf(missing)(`the driver on the CPU against cuda.h${missing ? `, skipped: ${missing}` : ""}`, () => {
  const withHeader = `-DCUDA_H="${header}"`;

  test("every function has the signature that NVIDIA declares", async () => {
    const source = await readFile(`${folder}/libcuda-on-cpu.cpp`, "utf8");
    await compile(source, withHeader);
    // And it would be seen if one had not.
    const wrong = source.replace("cuMemFree_v2(CUdeviceptr pointer)", "cuMemFree_v2(int pointer)");
    await expect(compile(wrong, withHeader)).rejects.toThrow(/conflicting declaration.*cuMemFree_v2/s);
  });

  test("every function that hirec calls is declared there, or is what it was called before", async () => {
    const bound = await readFile(new URL("../../runtime/cuda/libcuda.ts", import.meta.url), "utf8");
    const names = [...bound.matchAll(/(?:call|bind)\("(cu\w+)"/g)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThan(30);
    const text = await readFile(header!, "utf8");
    // The header renames these; drivers have both.
    const renamed = ["cuEventElapsedTime"];
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text) && !renamed.includes(name))).toEqual([]);
    // A plain name that the header defines as a later version is another function.
    const macros = names.filter((name) => new RegExp(`^#define ${name} +\\w*${name}_v\\d`, "m").test(text));
    expect(macros).toEqual(renamed);
  });
});

const ncclMissing = header && ncclHeader ? undefined : "there is no nccl.h";

describe.skipIf(ncclMissing)(`NCCL on the CPU against nccl.h${ncclMissing ? `, skipped: ${ncclMissing}` : ""}`, () => {
  test("every function and number is as NVIDIA declares it, and every function that hirec calls is there", async () => {
    const source = await readFile(`${folder}/libnccl-on-cpu.cpp`, "utf8");
    const flags = [`-DNCCL_H="${ncclHeader}"`, `-I${dirname(header!)}`];
    await compile(source, ...flags);
    const wrong = source.replace("ncclCommFinalize(ncclComm_t handle)", "ncclCommFinalize(void* handle)");
    await expect(compile(wrong, ...flags)).rejects.toThrow(/conflicting declaration.*ncclCommFinalize/s);
    const bound = await readFile(new URL("../../runtime/cuda/libnccl.ts", import.meta.url), "utf8");
    const names = [...bound.matchAll(/(?:call|bind|bindText)\("(nccl\w+)"/g)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) expect(source).toMatch(new RegExp(`^(ncclResult_t|const char\\*) ${name}\\(`, "m"));
  });
});
