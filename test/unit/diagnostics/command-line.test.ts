// Codes of the command line itself.

import { describe, expect, test } from "vitest";
import { findPage, formatPage, looksLikeCode } from "../../../compiler/cli/explain/page.ts";
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
