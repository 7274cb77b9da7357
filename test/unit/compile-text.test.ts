// The compiler without files gives what the compiler of files gives, and objects to the same.

import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { compileText } from "../../compiler/compile-text.ts";
import { compile } from "../../compiler/index.ts";
import { type Diagnostic, HireError } from "../../runtime/errors.ts";

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const targets = ["wgsl", "cuda"] as const;

const byText = (path: string) => compileText(readFileSync(path, "utf8"), { file: basename(path), targets });

async function objections(compiled: Promise<unknown>): Promise<Diagnostic[]> {
  const thrown = await compiled.then(
    () => new HireError([]),
    (error: HireError) => error,
  );
  if (!Array.isArray(thrown.diagnostics)) throw thrown;
  return thrown.diagnostics.map(({ span, ...problem }) => ({
    ...problem,
    ...(span && { span: { ...span, file: basename(span.file) } }),
  }));
}

describe("examples", () => {
  test.each(["tiny-lm", "tiny-lm-4", "gemma-2-2b", "llama-3.2-1b"])("%s", async (name) => {
    const path = at(`examples/${name}/${name}.hire.ts`);
    const [text, file] = [await byText(path), await compile(path, { targets })];
    expect(text.plan).toEqual(file.plan);
    expect(text.files).toEqual(file.files);
  });
});

describe("specs with mistakes", () => {
  const specs = readdirSync(at("test/specs")).filter((file) => file.endsWith(".hire.ts"));

  test.each(specs)("%s", async (file) => {
    const path = at(`test/specs/${file}`);
    const [text, ofFile] = [await objections(byText(path)), await objections(compile(path, { targets }))];
    // Of other files it knows nothing, and says so.
    if (text[0]?.code === "HIRE-SPEC-018") expect(readFileSync(path, "utf8")).toMatch(/from "\.|import\(/);
    else expect(text).toEqual(ofFile);
  });
});
