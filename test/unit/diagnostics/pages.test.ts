// Codes, their pages and their tests are one set.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const pageFolder = join(root, "docs/diagnostics");

async function textsBelow(...folders: readonly string[]): Promise<string> {
  const texts: string[] = [];
  for (const folder of folders) {
    const files = await readdir(join(root, folder), { recursive: true });
    for (const file of files.filter((each) => /\.(ts|py)$/.test(each))) {
      texts.push(await readFile(join(root, folder, file), "utf8"));
    }
  }
  return texts.join("\n");
}

function codesIn(text: string): string[] {
  return [...new Set(text.match(/\bHIRE-[A-Z]+-\d{3}\b/g))].sort();
}

const codes = codesIn(await textsBelow("dsl", "compiler", "runtime", "playground", "templates/torch"));
const index = await readFile(join(pageFolder, "README.md"), "utf8");
const rows = [...index.matchAll(/^\| \[(HIRE-[A-Z]+-\d{3})\]\(\1\.md\) +\| (.*?) +\|$/gm)];
const titles = new Map(rows.map(([, code, title]) => [code!, title!]));

test("every code of the sources has a page, and every page a code", async () => {
  const pages = (await readdir(pageFolder)).filter((file) => file !== "README.md");
  expect(pages.sort()).toEqual(codes.map((code) => `${code}.md`));
});

test("every code is provoked by a test", async () => {
  const folders = ["test/unit/diagnostics", "test/specs", "test/cuda-driver", "test/torch", "test/browser"];
  const provoked = codesIn(await textsBelow(...folders));
  expect(codes.filter((code) => !provoked.includes(code))).toEqual([]);
});

test("the index lists every page, and nothing else", () => {
  expect([...titles.keys()].sort()).toEqual(codes);
});

describe("a page says what its code means, shows a real case, and what to do", () => {
  test.each(codes)("%s", async (code) => {
    const page = await readFile(join(pageFolder, `${code}.md`), "utf8");
    const title = page.match(/^# (HIRE-\S+): (.+)\n/);
    expect(title?.[1]).toBe(code);
    expect(titles.get(code)).toBe(title?.[2]);
    const sections = page.split(/^## /m).slice(1);
    const names = sections.map((section) => section.split("\n")[0]);
    expect(names.slice(0, 3)).toEqual(["What it means", "Example", "What to do"]);
    expect(["", "Why"]).toContain(names.slice(3).join());
    for (const section of sections) expect(section.split("\n").slice(1).join("").trim()).not.toBe("");
    // The example holds the real output.
    expect(sections[1]).toMatch(new RegExp(`^(error |warning )?${code}: `, "m"));
  });
});
