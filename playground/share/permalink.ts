// A spec in the address of the page, behind the #, which browsers keep to themselves: the name of a preset, or the text, deflated.

import { PRESETS } from "./presets.ts";

const SPEC = "spec=";

/** A link whose spec cannot be read. */
export class DamagedLink extends Error {}

/** @returns what goes behind the #. */
export async function hashOf(text: string): Promise<string> {
  const preset = PRESETS.find((each) => each.text === text);
  if (preset) return preset.name;
  const packed = new Uint8Array(await through(new CompressionStream("deflate-raw"), new TextEncoder().encode(text)));
  return `${SPEC}${base64Url(packed)}`;
}

/** @returns undefined where the address has none. @throws DamagedLink */
export async function textOf(hash: string): Promise<string | undefined> {
  const given = hash.replace(/^#/, "");
  if (given === "") return undefined;
  const preset = PRESETS.find(({ name }) => name === given);
  if (preset) return preset.text;
  if (!given.startsWith(SPEC)) throw new DamagedLink(`There is no preset "${given}"`);
  try {
    const text = await through(new DecompressionStream("deflate-raw"), bytesOf(given.slice(SPEC.length)));
    return new TextDecoder("utf-8", { fatal: true }).decode(text);
  } catch {
    throw new DamagedLink("The spec in this link is damaged; some of the address may be missing");
  }
}

function through(
  stream: CompressionStream | DecompressionStream,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<ArrayBuffer> {
  return new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();
}

/** RFC 4648 §5, without padding. */
function base64Url(bytes: Uint8Array): string {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (each) => each.charCodeAt(0));
}
