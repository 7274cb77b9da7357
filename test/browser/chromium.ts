// A headless Chromium with WebGPU on SwiftShader, from npm alone.

import { existsSync } from "node:fs";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { parseTar } from "nanotar";
import { type Browser, chromium } from "playwright-core";
import { reasonOf } from "../../runtime/errors.ts";
import { cacheFolders } from "../../runtime/node/cache-folder.ts";

/** Why there is no browser here; undefined where there is one. */
export async function whyNoChromium(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.arch !== "x64") return "@sparticuz/chromium runs on Linux x64 only";
  try {
    await (await launchChromium()).close();
    return undefined;
  } catch (thrown) {
    return `Chromium does not start: ${reasonOf(thrown).split("\n")[0]}`;
  }
}

export async function launchChromium(): Promise<Browser> {
  const folder = await unpack();
  return chromium.launch({
    executablePath: join(folder, "chromium"),
    args: ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--disable-dev-shm-usage"],
    // What the system lacks of these libraries lies beside it.
    env: {
      ...process.env,
      LD_LIBRARY_PATH: [process.env.LD_LIBRARY_PATH, join(folder, "lib")].filter(Boolean).join(":"),
    },
  });
}

/** Unpacks the browser once per version of the package, into the user's cache folder. */
async function unpack(): Promise<string> {
  const bin = join(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")), "../../bin");
  const { version } = JSON.parse(await readFile(join(bin, "../package.json"), "utf8")) as { version: string };
  const folder = join(cacheFolders()[0] ?? tmpdir(), `chromium-${version}`);
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.${process.pid}`;
  try {
    await mkdir(temporary, { recursive: true });
    await writeFile(join(temporary, "chromium"), brotliDecompressSync(await readFile(join(bin, "chromium.br"))));
    await chmod(join(temporary, "chromium"), 0o755);
    for (const archive of ["swiftshader.tar.br", "al2023.tar.br"]) {
      for (const { name, data } of parseTar(brotliDecompressSync(await readFile(join(bin, archive))))) {
        if (!data) continue;
        await mkdir(dirname(join(temporary, name)), { recursive: true });
        await writeFile(join(temporary, name), data);
      }
    }
    // Another process may have been first; its files are the same.
    await rename(temporary, folder).catch((thrown) => {
      if (!existsSync(folder)) throw thrown;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return folder;
}
