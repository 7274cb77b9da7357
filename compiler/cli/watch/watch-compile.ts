// hirec compile --watch: compiles, and compiles again what a change concerns, until it is told to end.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { HireError } from "../../../runtime/errors.ts";
import { type CompileOptions, compile, write } from "../../index.ts";
import { sameName, summarizeWrite } from "../compiled-folders.ts";
import { formatDiagnostic } from "../report.ts";
import { print, printDiagnostics } from "../run-command.ts";
import { type DependOn, rerunOnChange } from "./changes.ts";
import { awaitedPaths } from "./unresolved.ts";

export interface WatchOptions extends CompileOptions {
  readonly out: string;
  /** One JSON object per compile, each on a line. */
  readonly json: boolean;
}

/**
 * Ends when the process is told to; a compile that has begun is ended first, a second signal does not wait.
 * @throws HireError when no change of a file could mend what is wrong.
 */
export async function watchCompile(specs: readonly string[], { out, json, ...options }: WatchOptions): Promise<void> {
  const ending = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort());
  const modelOf = new Map<string, string>();

  const compileOne = (spec: string) => async (dependOn: DependOn) => {
    const begun = performance.now();
    let hasRead = false;
    const onInput = (path: string) => {
      hasRead = true;
      dependOn(path);
    };
    const spent = () => Math.round(performance.now() - begun);
    // Until this spec compiles again, it holds no name against the others.
    modelOf.delete(spec);
    try {
      const { plan, files, warnings } = await compile(spec, { ...options, onInput });
      refuseSameName(spec, plan.model, modelOf);
      modelOf.set(spec, plan.model);
      const folder = join(out, plan.model);
      const difference = await write(folder, files);
      const models = [{ model: plan.model, folder, ...difference }];
      const said = warnings.length > 0 && { warnings };
      const report = { command: "compile", ok: true, spec, models, ...said };
      if (!json && said) await printDiagnostics(warnings);
      const text = `${summarizeWrite({ model: plan.model, folder, difference })} (${spent()} ms)`;
      await print(process.stdout, json ? JSON.stringify({ ...report, milliseconds: spent() }) : text);
    } catch (thrown) {
      if (!(thrown instanceof HireError) || !hasRead) throw thrown;
      const { diagnostics } = thrown;
      for (const path of diagnostics.flatMap(awaitedPaths)) dependOn(path);
      if (json) await print(process.stdout, JSON.stringify({ command: "compile", ok: false, spec, diagnostics }));
      else {
        const problems = diagnostics.length === 1 ? "1 problem" : `${diagnostics.length} problems`;
        const shown = diagnostics.map((diagnostic) => formatDiagnostic(diagnostic));
        const line = `${spec}: ${problems}, nothing written (${spent()} ms)`;
        await print(process.stderr, [...shown, line].join("\n\n"));
      }
    }
  };
  await rerunOnChange(specs.map(compileOne), ending.signal, async (paths) => {
    const count = [...paths].filter((path) => existsSync(path)).length;
    if (!json) await print(process.stdout, `watching ${count === 1 ? "1 file" : `${count} files`}; end with Ctrl+C`);
  });
}

/** @throws HireError HIRE-SPEC-019 when another of the specs is written to the same folder. */
function refuseSameName(spec: string, model: string, modelOf: ReadonlyMap<string, string>): void {
  const other = [...modelOf].find(([each, name]) => each !== spec && name === model);
  if (other) throw new HireError(sameName(spec, other[0], model));
}
