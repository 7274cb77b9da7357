// Codes of the command line itself.

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findPage, formatPage, looksLikeCode } from "../../../compiler/cli/explain/page.ts";
import { startProject } from "../../../compiler/cli/init.ts";
import { failureOf } from "./failure.ts";

describe("hirec explain CODE", () => {
  test.each(["HIRE-SPEC-011", "hire-spec-011", "SPEC-011", "spec-011"])("finds the page for %s", async (code) => {
    expect(looksLikeCode(code)).toBe(true);
    expect(await findPage(code)).toMatchObject({ code: "HIRE-SPEC-011", title: "k is larger than candidates" });
  });

  test.each(["tiny-lm.hire.ts", "generated/tiny-lm", "docs", "model-2.ts"])("takes %s for a path", (path) => {
    expect(looksLikeCode(path)).toBe(false);
  });

  test.each([
    ["HIRE-SPEC-11", "HIRE-SPEC-011"],
    ["HIRE-SPCE-004", "HIRE-SPEC-004"],
    ["hire-plan-07", "HIRE-PLAN-007"],
    ["HIRE-", "HIRE-"],
  ])("HIRE-CLI-001 for %s names %s among the near codes", async (argument, near) => {
    expect(looksLikeCode(argument)).toBe(true);
    const { diagnostics } = await failureOf(() => findPage(argument));
    expect(diagnostics).toHaveLength(1);
    const [{ code, message, fix } = {} as never] = diagnostics;
    expect({ code, message }).toEqual({ code: "HIRE-CLI-001", message: `There is no code ${argument.toUpperCase()}` });
    expect(fix).toMatch(/^Did you mean HIRE-\S+, HIRE-\S+ or HIRE-\S+\? /);
    expect(fix).toContain(near);
  });

  test("fills paragraphs to the width, leaves code as it is, and drops the marks of Markdown", async () => {
    const page = await findPage("HIRE-SPEC-018");
    const text = formatPage(page, 60, false);
    expect(text).toMatch(/^HIRE-SPEC-018: An import cannot be resolved\n\nWhat it means\n\nThe spec, or a file/);
    expect(text).not.toMatch(/^#|```/m);
    const lines = text.split("\n");
    expect(lines).toContain('    import { defineModel, softmaxx } from "hirec";');
    const prose = lines.filter((line) => !line.startsWith("    "));
    expect(Math.max(...prose.map((line) => line.length))).toBeLessThanOrEqual(60);
    // No word is lost on the way.
    const words = (from: string) => from.replace(/^```.*$|^#+ /gm, "").match(/\S+/g);
    expect(words(text)).toEqual(words(page.text));
  });

  test("sets code and headings off in colour", () => {
    const page = { code: "X", title: "t", text: "# X: t\n\nUse `npm` and\n[this](there.md).\n\n- one\n- two" };
    expect(formatPage(page, 80, true)).toContain("\u001b[36mnpm\u001b[39m and this.\n\n- one\n- two");
    expect(formatPage(page, 80, true)).toMatch(/^\u001b\[1m/);
  });
});

describe("hirec init", () => {
  let folder: string;
  const at = (file: string) => join(folder, file);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hirec-init-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("HIRE-CLI-002 names every file that exists, and touches none", async () => {
    await writeFile(at("lm-head.hire.ts"), "mine");
    await writeFile(at("lm-head.test.ts"), "mine");
    const { diagnostics } = await failureOf(() => startProject(folder));
    expect(diagnostics).toMatchObject([
      { code: "HIRE-CLI-002", message: `${at("lm-head.hire.ts")} exists already` },
      { code: "HIRE-CLI-002", message: `${at("lm-head.test.ts")} exists already` },
    ]);
    expect((await readdir(folder)).sort()).toEqual(["lm-head.hire.ts", "lm-head.test.ts"]);
    expect(await readFile(at("lm-head.hire.ts"), "utf8")).toBe("mine");
  });

  test.each([
    ["is not JSON", '{ "name": '],
    ["does not describe a package", "[]"],
    ["does not describe a package", '{ "scripts": "none" }'],
  ])("HIRE-CLI-003 when package.json %s, and nothing is written", async (says, text) => {
    await writeFile(at("package.json"), text);
    const { diagnostics } = await failureOf(() => startProject(folder));
    expect(diagnostics).toMatchObject([{ code: "HIRE-CLI-003", message: expect.stringContaining(says) }]);
    expect(await readdir(folder)).toEqual(["package.json"]);
    expect(await readFile(at("package.json"), "utf8")).toBe(text);
  });

  test("HIRE-CLI-003 when the folder is a file, or package.json a folder", async () => {
    await writeFile(at("file"), "");
    expect((await failureOf(() => startProject(at("file")))).code).toBe("HIRE-CLI-003");
    expect((await failureOf(() => startProject(at("file/below")))).code).toBe("HIRE-CLI-003");
    await mkdir(at("package.json"));
    expect((await failureOf(() => startProject(folder))).code).toBe("HIRE-CLI-003");
    expect((await readdir(folder)).sort()).toEqual(["file", "package.json"]);
  });

  test("adds its script to a package that exists, and changes nothing else of it", async () => {
    const manifest = { name: "mine", type: "commonjs", scripts: { test: "jest" }, files: ["a"] };
    await writeFile(at("package.json"), `${JSON.stringify(manifest, null, "\t")}\n`);
    expect(await startProject(folder)).toMatchObject({
      created: ["lm-head.hire.ts", "lm-head.test.ts"],
      extended: ["package.json"],
    });
    const scripts = { test: "jest", kernels: "hirec compile lm-head.hire.ts" };
    expect(await readFile(at("package.json"), "utf8")).toBe(
      `${JSON.stringify({ ...manifest, scripts }, null, "\t")}\n`,
    );
  });

  test("leaves a script of the same name alone, and says the command instead", async () => {
    const text = '{ "scripts": { "kernels": "make" } }';
    await writeFile(at("package.json"), text);
    const { extended, next } = await startProject(folder);
    expect(extended).toEqual([]);
    expect(next).toContain("npx hirec compile lm-head.hire.ts");
    expect(await readFile(at("package.json"), "utf8")).toBe(text);
  });

  test("makes a package with a name that npm accepts", async () => {
    await startProject(at("_My Head"));
    expect(JSON.parse(await readFile(at("_My Head/package.json"), "utf8"))).toMatchObject({ name: "my-head" });
  });
});
