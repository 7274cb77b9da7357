// For the tests of those who commit compiled kernels: holds a compiled folder to its spec, file by file, with vitest.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { HireError } from "../runtime/errors.ts";
import { formatDiagnostic } from "./cli/report.ts";
import { type CompileOptions, compareFolder, compile } from "./index.ts";

export interface GoldenOptions extends CompileOptions {
  /** The folder that holds a folder per model, as `--out` of `hirec compile`. Default `"generated"`. */
  readonly out?: string;
}

/**
 * Registers tests that a compiled folder is what its spec compiles to: one per emitted file, which shows the difference
 * when it fails, and one that nothing else of hirec lies there.
 * @param spec path of the spec; like `out` it is relative to the working directory, as on the command line.
 */
export function goldenTest(spec: string, { out = "generated", ...options }: GoldenOptions = {}): void {
  describe(`the compiled output of ${spec}`, async () => {
    const compiled = await compile(spec, options).catch((thrown: unknown) => thrown);
    if (compiled instanceof Error) {
      test("compiles", () => {
        throw readable(compiled);
      });
      return;
    }
    const { plan, files, warnings } = compiled as Awaited<ReturnType<typeof compile>>;
    for (const warning of warnings) console.warn(formatDiagnostic(warning, false));
    const folder = join(out, plan.model);
    const update = `Update it with: ${updateCommand(spec, out, options)}`;

    for (const [file, text] of files) {
      const path = join(folder, file);
      test(`${path} is up to date`, async () => {
        const { missing, stale } = await compareFolder(folder, files);
        if (missing.includes(file)) throw plainError(`${path} is missing. ${update}`);
        if (!stale.includes(file)) return;
        throw differenceError(`${path} is stale. ${update}`, {
          committed: await readFile(path, "utf8"),
          compiled: text,
        });
      });
    }

    test(`${folder} holds nothing that is emitted no longer`, async () => {
      const { orphaned } = await compareFolder(folder, files);
      const names = orphaned.map((file) => join(folder, file)).join(", ");
      if (orphaned.length > 0) throw plainError(`orphaned: ${names}. ${update}`);
    });
  });
}

function updateCommand(spec: string, out: string, { targets, profiles }: CompileOptions): string {
  const where = out === "generated" ? "" : ` --out ${out}`;
  const what = targets ? ` --target ${targets.join(",")}` : "";
  return `npx hirec compile ${spec}${where}${what}${profiles ? ` --profile ${profiles.join(" ")}` : ""}`;
}

/** A problem of the spec, with its place. */
function readable(problem: Error): Error {
  if (!(problem instanceof HireError)) return problem;
  return plainError(problem.diagnostics.map((diagnostic) => formatDiagnostic(diagnostic, false)).join("\n\n"));
}

/** vitest prints what differs between `actual` and `expected` of any error; `diffOptions` shortens that to the hunks. */
function differenceError(message: string, { committed, compiled }: Readonly<Record<"committed" | "compiled", string>>) {
  return Object.assign(plainError(message), {
    actual: committed,
    expected: compiled,
    diffOptions: { expand: false, contextLines: 3, aAnnotation: "Compiled now", bAnnotation: "In the folder" },
  });
}

/** Where in this file an error was made helps nobody. */
function plainError(message: string): Error {
  const error = new Error(message);
  error.stack = `Error: ${message}`;
  return error;
}
