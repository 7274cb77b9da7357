// A WebGPU adapter without a GPU: the Vulkan loader and the SwiftShader driver that npm's @sparticuz/chromium carries.
// Dawn finds them once the loader is in the process and the environment names the driver; no system package is needed.

import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { HireError, reasonOf } from "../errors.ts";
import { cacheFolders } from "./cache-folder.ts";

const PACKAGE = "@sparticuz/chromium";
const LOADER = "libvulkan.so.1";
const DRIVER = "vk_swiftshader_icd.json";
const FILES = [LOADER, DRIVER, "libvk_swiftshader.so"];

/**
 * Makes the software driver the only one that Dawn finds, for the rest of the process.
 * @throws HireError HIRE-RUN-007 when a package is missing or does not run here.
 */
export async function installSoftwareAdapter(): Promise<void> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw missing(`the software adapter runs on Linux x64 only, not on ${process.platform} ${process.arch}`);
  }
  const folder = await unpack();
  const driver = join(folder, DRIVER);
  process.env.VK_ICD_FILENAMES = driver;
  process.env.VK_DRIVER_FILES = driver;
  process.env.XDG_RUNTIME_DIR ??= tmpdir();
  if (!(await loadVulkan(join(folder, LOADER)))) throw missing(`koffi cannot load ${LOADER}`);
}

/** Loads a Vulkan loader into the process, so that Dawn's own `dlopen` of it succeeds. */
export async function loadVulkan(path = LOADER): Promise<boolean> {
  try {
    const { default: koffi } = await import("koffi");
    koffi.load(path, { global: true });
    return true;
  } catch {
    return false;
  }
}

/** Unpacks the driver once per version of the package, into the user's cache folder. */
async function unpack(): Promise<string> {
  const { archive, version } = await findArchive();
  const reasons: string[] = [];
  for (const parent of cacheFolders()) {
    const folder = join(parent, `swiftshader-${version}`);
    if (FILES.every((file) => existsSync(join(folder, file)))) return folder;
    try {
      await unpackInto(folder, archive);
      return folder;
    } catch (thrown) {
      reasons.push(reasonOf(thrown));
    }
  }
  throw missing(`the driver cannot be unpacked: ${reasons.join("; ")}`);
}

async function unpackInto(folder: string, archive: string): Promise<void> {
  const { parseTar } = await import("nanotar");
  const temporary = `${folder}.${process.pid}`;
  await mkdir(temporary, { recursive: true });
  try {
    for (const { name, data } of parseTar(brotliDecompressSync(await readFile(archive)))) {
      const file = FILES.find((wanted) => name.endsWith(wanted));
      if (file && data) await writeFile(join(temporary, file), data);
    }
    // Another process may have been first; its files are the same.
    await rename(temporary, folder).catch((thrown) => {
      if (!FILES.every((file) => existsSync(join(folder, file)))) throw thrown;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function findArchive(): Promise<{ archive: string; version: string }> {
  try {
    // The package does not export its own package.json, so its folder is found from its main file.
    let folder = dirname(createRequire(import.meta.url).resolve(PACKAGE));
    while (!existsSync(join(folder, "bin", "swiftshader.tar.br"))) {
      if (folder === dirname(folder)) throw new Error("it carries no swiftshader.tar.br");
      folder = dirname(folder);
    }
    const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
    return { archive: join(folder, "bin", "swiftshader.tar.br"), version };
  } catch (thrown) {
    throw missing(`package ${PACKAGE} is not installed (${reasonOf(thrown).split("\n")[0]})`);
  }
}

function missing(why: string): HireError {
  return new HireError({
    code: "HIRE-RUN-007",
    message: `There is no software adapter: ${why}`,
    fix: `On Linux x64, install it with: npm install ${PACKAGE} koffi`,
  });
}
