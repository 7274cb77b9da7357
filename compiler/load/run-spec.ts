// Runs a spec as the TypeScript program that it is: bundles it with what it imports, and imports the bundle.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, extname, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { type BuildFailure, build, type Message, type Plugin } from "esbuild";
import { type Diagnostic, HireError, type SourceSpan } from "../../runtime/errors.ts";
import type { FunctionSyntax } from "./functions.ts";
import { type CallSite, LANGUAGE_MODULE, type NumberedSpec, numberSpec } from "./spec-text.ts";
import { type RunningPlace, specThrew } from "./spec-threw.ts";

/** A spec that has run: its default export, and what its text says about where the values came from. */
export interface RunSpec {
  readonly value: unknown;
  readonly sites: readonly CallSite[];
  /** By their numbers. */
  readonly functions: readonly FunctionSyntax[];
  /** Absolute paths of the spec and of every file of the user's that it imports. */
  readonly files: readonly string[];
}

/** The language that specs import, beside this file in source form and in the built package alike. */
const languagePath = fileURLToPath(new URL(`../../dsl/index${extname(import.meta.url)}`, import.meta.url));

/** Whether a file is part of what the user wrote, neither the language nor a package. */
function isOfUser(path: string): boolean {
  return !path.startsWith(dirname(languagePath) + sep) && !path.includes(`${sep}node_modules${sep}`);
}

/**
 * @param path absolute path of the spec.
 * @param onInput called with each file of the user's before it is read.
 * @param texts what files are taken to hold instead.
 * @throws HireError HIRE-SPEC-002 syntax, -004 the spec threw, -007 a property given twice, -018 an import of something that
 * is not there.
 */
export async function runSpec(
  path: string,
  onInput: (path: string) => void = () => {},
  texts: FileTexts = new Map(),
): Promise<RunSpec> {
  const sites: CallSite[] = [];
  const functions: FunctionSyntax[] = [];
  const problems: Diagnostic[] = [];
  const files: string[] = [];
  const collect = (file: string) => {
    files.push(file);
    onInput(file);
  };
  const { code, map } = await bundle(path, numberingPlugin({ sites, functions, problems }, collect, texts), problems);
  if (problems.length > 0) throw new HireError(problems);
  const value = await importBundle(path, code, map);
  return { value, sites, functions, files };
}

/** Texts by absolute path. */
export type FileTexts = ReadonlyMap<string, string>;

/** What is found in the texts of all files together. */
interface Numbered {
  readonly sites: CallSite[];
  readonly functions: FunctionSyntax[];
  readonly problems: Diagnostic[];
}

function numberingPlugin(
  { sites, functions, problems }: Numbered,
  onInput: (file: string) => void,
  texts: FileTexts,
): Plugin {
  return {
    name: "hirec-spec",
    setup(bundler) {
      // The language is bundled from this installation, so a spec outside of any package still finds it.
      bundler.onResolve({ filter: new RegExp(`^${LANGUAGE_MODULE}$`) }, () => ({ path: languagePath }));
      // Data that a spec imports counts as well; returning nothing leaves the loading to esbuild.
      bundler.onLoad({ filter: /.*/, namespace: "file" }, ({ path }) => {
        if (isOfUser(path)) onInput(path);
        return undefined;
      });
      bundler.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
        if (!isOfUser(path)) return undefined;
        const text = texts.get(path) ?? (await readFile(path, "utf8"));
        const numbered = numberSpec(path, text, { site: sites.length, function: functions.length });
        sites.push(...numbered.sites);
        functions.push(...numbered.functions);
        problems.push(...numbered.problems);
        // A file with a syntax error has been reported at its place; an empty module lets the rest be read.
        const contents = numbered.problems.length > 0 ? "export default undefined" : withMap(numbered);
        return { contents, loader: path.endsWith("x") ? "tsx" : "ts" };
      });
    },
  };
}

function withMap({ code, map }: NumberedSpec): string {
  return map ? `${code}\n//# sourceMappingURL=${map.toUrl()}` : code;
}

async function bundle(path: string, plugin: Plugin, problems: Diagnostic[]) {
  try {
    const { outputFiles } = await build({
      entryPoints: [path],
      bundle: true,
      write: false,
      outfile: `${path}.mjs`,
      format: "esm",
      platform: "node",
      target: "node20",
      sourcemap: "external",
      sourcesContent: false,
      logLevel: "silent",
      plugins: [plugin],
      absWorkingDir: dirname(path),
    });
    const output = (ending: string) => outputFiles.find((file) => file.path.endsWith(ending))!.text;
    return { code: output(".mjs"), map: output(".map") };
  } catch (thrown) {
    if (problems.length > 0) throw new HireError(problems);
    const { errors } = thrown as BuildFailure;
    if (!Array.isArray(errors)) throw thrown;
    throw new HireError(errors.map((error) => bundleProblem(path, error)));
  }
}

function bundleProblem(path: string, { text, location }: Message): Diagnostic {
  return {
    ...explain(path, text),
    ...(location && {
      span: {
        file: resolve(dirname(path), location.file),
        line: location.line,
        column: location.column + 1,
        length: Math.max(1, location.length),
      },
    }),
  };
}

/** What esbuild says, as a problem of the spec. */
function explain(path: string, text: string): Omit<Diagnostic, "span"> {
  if (text.startsWith("Could not resolve")) {
    return {
      code: "HIRE-SPEC-018",
      message: text,
      fix: "Correct the path, or install the package where the spec lies",
    };
  }
  const [, file, name] = /^No matching export in "(.*)" for import "(.*)"$/.exec(text) ?? [];
  if (file !== undefined) {
    const module = resolve(dirname(path), file) === languagePath ? LANGUAGE_MODULE : file;
    return {
      code: "HIRE-SPEC-018",
      message: `"${module}" has no export "${name}"`,
      fix: "Correct the name, or export it there",
    };
  }
  return {
    code: "HIRE-SPEC-002",
    message: `This is not valid TypeScript: ${text}`,
    fix: "Correct the syntax at the marked place",
  };
}

/** Frames of the bundle, which runs from its text. */
const FRAMES = /data:text\/javascript;[^)\s]*?:(\d+):(\d+)/g;

async function importBundle(path: string, code: string, map: string): Promise<unknown> {
  // A data URL is a fresh module every time, leaves nothing on disk, and cannot collide with another compile.
  const url = `data:text/javascript;base64,${Buffer.from(code).toString("base64")}`;
  const idle = whenIdle();
  try {
    const module = (await Promise.race([import(url), idle.promise])) as { default?: unknown };
    return module.default;
  } catch (thrown) {
    // Sources are addresses, relative to that of the map.
    const traced = new TraceMap(map, pathToFileURL(path).href);
    throw specThrew(thrown, path, FRAMES, (place) => originOf(place, traced));
  } finally {
    idle.stop();
  }
}

/**
 * Rejects when the process has nothing left to do, which means that a spec awaits what never comes; Node would end the
 * process without a word.
 */
function whenIdle(): { readonly promise: Promise<never>; stop(): void } {
  let onIdle = () => {};
  const promise = new Promise<never>((_, reject) => {
    onIdle = () => reject(new Error("it awaits something that never comes"));
    process.once("beforeExit", onIdle);
  });
  return { promise, stop: () => process.off("beforeExit", onIdle) };
}

function originOf(running: RunningPlace, map: TraceMap): SourceSpan | undefined {
  const { source, line, column } = originalPositionFor(map, running);
  if (!source?.startsWith("file:")) return undefined;
  const file = fileURLToPath(source);
  return isOfUser(file) && existsSync(file) ? { file, line, column: column + 1, length: 1 } : undefined;
}
