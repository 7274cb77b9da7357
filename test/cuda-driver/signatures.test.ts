// That the driver on the CPU has the C ABI of the real one: it is compiled against NVIDIA's own header, where there is one.

import { execFile } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const execute = promisify(execFile);
const folder = fileURLToPath(new URL("../cuda-host", import.meta.url));

const toolkits = existsSync("/usr/local") ? readdirSync("/usr/local").filter((name) => name.startsWith("cuda")) : [];
const header = toolkits.map((name) => `/usr/local/${name}/include/cuda.h`).find((path) => existsSync(path));
const missing = header ? undefined : "there is no cuda.h below /usr/local/cuda*";

describe.skipIf(missing)(`the driver on the CPU against cuda.h${missing ? `, skipped: ${missing}` : ""}`, () => {
  const compile = (source: string) => {
    const flags = ["-std=c++20", "-fsyntax-only", `-DCUDA_H="${header}"`, `-I${folder}`, "-x", "c++", "-"];
    const running = execute("g++", flags);
    running.child.stdin!.end(source);
    return running;
  };

  test("every function has the signature that NVIDIA declares", async () => {
    const source = await readFile(`${folder}/libcuda-on-cpu.cpp`, "utf8");
    await compile(source);
    // And it would be seen if one had not.
    const wrong = source.replace("cuMemFree_v2(CUdeviceptr pointer)", "cuMemFree_v2(int pointer)");
    await expect(compile(wrong)).rejects.toThrow(/conflicting declaration.*cuMemFree_v2/s);
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
