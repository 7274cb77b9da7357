// A project to start from: a spec, a test that holds its kernels still, and a script that compiles it.

import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { HireError, reasonOf } from "../../runtime/errors.ts";
import { writeWhole } from "../../runtime/node/write-whole.ts";

export interface StartedProject {
  readonly folder: string;
  /** Paths below the folder. */
  readonly created: readonly string[];
  /** Files of the user's that got something added. */
  readonly extended: readonly string[];
  /** Commands, in order. */
  readonly next: readonly string[];
}

const SCRIPT = "kernels";
const COMPILE = "hirec compile lm-head.hire.ts";

/**
 * Writes the files of `templates/init`, and adds a script to package.json, which is made when there is none.
 * @throws HireError HIRE-CLI-002 for every file that exists, HIRE-CLI-003 when the folder or its package.json cannot be
 * read or written; nothing is left behind then.
 */
export async function startProject(folder: string): Promise<StartedProject> {
  const templates = templateFolder();
  const names = (await readdir(templates)).sort();
  const existing = names.filter((name) => existsSync(join(folder, name)));
  if (existing.length > 0) throw new HireError(existing.map((name) => alreadyThere(join(folder, name))));
  const manifest = await planManifest(folder);

  const created: string[] = [];
  try {
    await mkdir(folder, { recursive: true });
    for (const name of names) {
      // "wx" never replaces a file, also when it appears at this moment.
      await writeFile(join(folder, name), await readFile(join(templates, name)), { flag: "wx" });
      created.push(name);
    }
    if (manifest.text !== undefined) {
      const { text } = manifest;
      await writeWhole(join(folder, "package.json"), "HIRE-CLI-003", (handle) => handle.writeFile(text));
    }
  } catch (thrown) {
    for (const name of created) await rm(join(folder, name), { force: true });
    if (thrown instanceof HireError) throw thrown;
    throw inaccessible(`${folder} cannot be written: ${reasonOf(thrown)}`, "Choose a folder that is writable", thrown);
  }
  const run = manifest.isScript ? `npm run ${SCRIPT}` : `npx ${COMPILE}`;
  return {
    folder,
    created: manifest.isNew ? [...created, "package.json"] : created,
    extended: manifest.text !== undefined && !manifest.isNew ? ["package.json"] : [],
    next: [
      ...(resolve(folder) === process.cwd() ? [] : [`cd ${folder}`]),
      "npm install --save-dev hirec vitest",
      run,
      "npx vitest run",
      "npx hirec explain lm-head.hire.ts",
    ],
  };
}

/** package.json with the script; no text when there is nothing to add. A script of that name is the user's and stays. */
async function planManifest(folder: string): Promise<{
  readonly text?: string;
  readonly isNew: boolean;
  readonly isScript: boolean;
}> {
  const path = join(folder, "package.json");
  const text = await readFile(path, "utf8").catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === "ENOENT") return undefined;
    throw inaccessible(`${path} cannot be read: ${reasonOf(thrown)}`, "Choose another folder", thrown);
  });
  if (text === undefined) {
    const name = basename(resolve(folder))
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, "-")
      .replace(/^[._-]+/, "");
    const manifest = { name: name || "kernels", private: true, type: "module", scripts: { [SCRIPT]: COMPILE } };
    return { text: `${JSON.stringify(manifest, null, 2)}\n`, isNew: true, isScript: true };
  }
  const manifest = parseManifest(path, text);
  const { [SCRIPT]: script } = manifest.scripts ?? {};
  if (script !== undefined) return { isNew: false, isScript: script === COMPILE };
  const extended = { ...manifest, scripts: { ...manifest.scripts, [SCRIPT]: COMPILE } };
  const indent = /^([ \t]+)"/m.exec(text)?.[1] ?? "  ";
  return { text: `${JSON.stringify(extended, null, indent)}\n`, isNew: false, isScript: true };
}

interface Manifest {
  readonly scripts?: Readonly<Record<string, string>>;
}

function parseManifest(path: string, text: string): Manifest {
  const mend = "Mend package.json, or choose another folder";
  let manifest: unknown;
  try {
    manifest = JSON.parse(text);
  } catch (thrown) {
    throw inaccessible(`${path} is not JSON: ${reasonOf(thrown)}`, mend, thrown);
  }
  const isRecord = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
  if (isRecord(manifest) && isRecord((manifest as Manifest).scripts ?? {})) return manifest as Manifest;
  throw inaccessible(`${path} does not describe a package`, mend);
}

/** `templates/` lies beside `compiler/` in the sources, and beside `dist/` in the built package. */
function templateFolder(): string {
  return ["../../templates/init", "../../../templates/init"]
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find(existsSync)!;
}

function alreadyThere(path: string) {
  return {
    code: "HIRE-CLI-002",
    message: `${path} exists already`,
    fix: "Choose another folder, or move the file away; hirec init replaces nothing",
  };
}

function inaccessible(message: string, fix: string, cause?: unknown): HireError {
  return new HireError({ code: "HIRE-CLI-003", message, fix }, { cause });
}
