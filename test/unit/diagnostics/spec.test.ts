// Specs that fail, each for what its first lines say: `// expect CODE at [FILE:]LINE:COLUMN: MESSAGE`, once per problem.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compile, compileModel } from "../../../compiler/index.ts";
import { defineModel, dense, softmax } from "../../../dsl/index.ts";
import type { Diagnostic } from "../../../runtime/errors.ts";
import { failureOf } from "./failure.ts";

const SPECS = fileURLToPath(new URL("../../specs", import.meta.url));
const specs = (await readdir(SPECS)).filter((file) => file.endsWith(".hire.ts")).sort();

interface Expectation {
  readonly code: string;
  readonly place: string;
  readonly message: string;
}

function expectations(spec: string, text: string): Expectation[] {
  const lines = text.matchAll(/^\/\/ expect (HIRE-\w+-\d{3}) at (\S+): (.+)$/gm);
  return [...lines].map(([, code, place, message]) => ({
    code: code!,
    place: place!.split(":").length === 2 ? `${spec}:${place}` : place!,
    message: message!,
  }));
}

function found({ code, message, span }: Diagnostic): Expectation {
  return { code, place: span ? `${relative(SPECS, span.file)}:${span.line}:${span.column}` : "nowhere", message };
}

describe("a spec that cannot be compiled says so at the exact place", () => {
  test.each(specs)("%s", async (spec) => {
    const wanted = expectations(spec, await readFile(join(SPECS, spec), "utf8"));
    expect(wanted.length).toBeGreaterThan(0);
    const { diagnostics } = await failureOf(() => compile(join(SPECS, spec)));
    expect(diagnostics.map(found)).toEqual(wanted);
    for (const { fix, span } of diagnostics) {
      expect(fix).not.toBe("");
      // What a code frame underlines must be there.
      const line = (await readFile(span!.file, "utf8")).split("\n")[span!.line - 1]!;
      expect(span!.length).toBeGreaterThan(0);
      expect(span!.column + span!.length - 1).toBeLessThanOrEqual(Math.max(1, line.length));
    }
  });
});

describe("a spec path that leads to no spec is refused", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-specs-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test.each([
    { what: "a missing file", name: "missing.hire.ts", says: /^There is no spec at .*missing\.hire\.ts: ENOENT/ },
    { what: "a directory", name: "", says: /^.*hirec-specs-\w+.? is a directory, not a spec$/ },
    { what: "a path below a file", name: "notes.txt/head.hire.ts", says: /^There is no spec at .*: ENOTDIR/ },
    { what: "another kind of file", name: "notes.txt", says: /notes\.txt is not a TypeScript file$/ },
  ])("$what is HIRE-SPEC-001", async ({ name, says }) => {
    await writeFile(join(folder, "notes.txt"), "not a spec");
    const { diagnostics } = await failureOf(() => compile(join(folder, name)));
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]!.code).toBe("HIRE-SPEC-001");
    expect(diagnostics[0]!.message).toMatch(says);
  });

  test("an empty file has no default export", async () => {
    const path = join(folder, "empty.hire.ts");
    await writeFile(path, "");
    const { diagnostics } = await failureOf(() => compile(path));
    expect(diagnostics).toMatchObject([
      { code: "HIRE-SPEC-005", message: "The spec has no default export", span: { file: path, line: 1, column: 1 } },
    ]);
  });
});

test("what a package throws is shown where the spec called it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hirec-specs-"));
  await mkdir(join(folder, "node_modules/failing"), { recursive: true });
  await writeFile(
    join(folder, "node_modules/failing/index.js"),
    "export function fail() { throw new Error('broken'); }",
  );
  const path = join(folder, "calls.hire.ts");
  await writeFile(path, 'import { fail } from "failing";\n\nexport default fail();\n');
  const { diagnostics } = await failureOf(() => compile(path));
  await rm(folder, { recursive: true });
  expect(diagnostics).toMatchObject([
    { code: "HIRE-SPEC-004", message: "The spec threw: broken", span: { file: path, line: 3, column: 16 } },
  ]);
});

test("what a spec throws is shown whatever its file is called", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hirec specs ü-"));
  const path = join(folder, "a b#1%20.hire.ts");
  await writeFile(path, '\nthrow new Error("odd");\n');
  const { diagnostics } = await failureOf(() => compile(path));
  await rm(folder, { recursive: true });
  expect(diagnostics).toMatchObject([{ code: "HIRE-SPEC-004", span: { file: path, line: 2, column: 7 } }]);
});

test("a model that a program built is checked alike, without a place in any file", async () => {
  const head = softmax({ inputs: 64, rows: 4, weight: "head", estimator: dense(), k: 5 });
  const { diagnostics } = await failureOf(() => compileModel(defineModel("built", { head })));
  expect(diagnostics).toEqual([
    {
      code: "HIRE-SPEC-012",
      message: "`k` (5) is larger than `rows` (4)",
      fix: "Lower k: a layer cannot return more rows than it has",
    },
  ]);
});

test("a value that is no model is refused before its options are read", async () => {
  for (const value of [undefined, null, {}, { kind: "model" }, dense()]) {
    const { code } = await failureOf(() => compileModel(value as never));
    expect(code).toBe("HIRE-SPEC-005");
  }
});
