// Kernel images that lie beside their sources: what `hirec compile --fatbin` writes, and what a loader takes of it.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Path of the list below the compiled folder. */
export const IMAGES_FILE = "cuda/images.json";

export const IMAGES_FORMAT = 1;

/** `cuda/images.json`. */
export interface ImagesList {
  readonly format: number;
  /** By the paths of the sources. */
  readonly kernels: Readonly<Record<string, ListedImage>>;
}

export interface ListedImage {
  /** Path below the compiled folder. */
  readonly image: string;
  /** SHA-256 of the image, and of the source that it was compiled from. */
  readonly imageHash: string;
  readonly sourceHash: string;
  /** Such as `nvcc V13.0.88`. */
  readonly compiler: string;
  /** Compute capabilities for which it holds instructions, such as 90. */
  readonly capabilities: readonly number[];
  /** Compute capability from which on its PTX serves every card. */
  readonly ptx: number;
}

/**
 * The image that was compiled ahead from a very source for a card, or why there is none.
 * @param file path of the source below the compiled folder.
 * @param capability of the card, such as 90.
 */
export type CompiledImages = (file: string, source: string, capability: number) => Promise<ImageOrReason>;

export type ImageOrReason = { readonly image: Uint8Array; readonly from: string } | { readonly reason: string };

/** The images of a compiled folder. Nothing is read before one is asked for. */
export function imagesOf(folder: string): CompiledImages {
  let list: Promise<ImagesList | undefined> | undefined;
  return async (file, source, capability) => {
    list ??= readImagesList(folder);
    const listed = (await list)?.kernels[file];
    if (!listed) return { reason: `${folder} holds no image of ${file}` };
    const path = join(folder, listed.image);
    if (listed.sourceHash !== hashOf(source)) return { reason: `${path} was compiled from another source` };
    if (!fits(listed, capability)) return { reason: `${path} is not for sm_${capability}` };
    const image = await readFile(path).catch(() => undefined);
    if (image === undefined || hashOf(image) !== listed.imageHash)
      return { reason: `${path} is not the image of ${IMAGES_FILE}` };
    return { image, from: path };
  };
}

/** The list of a compiled folder; nothing where it has none, or of another format. */
export async function readImagesList(folder: string): Promise<ImagesList | undefined> {
  try {
    const list = JSON.parse(await readFile(join(folder, IMAGES_FILE), "utf8")) as Partial<ImagesList> | null;
    return list?.format === IMAGES_FORMAT && typeof list.kernels === "object" ? (list as ImagesList) : undefined;
  } catch {
    return undefined;
  }
}

/** Instructions serve cards of the same major version, from their own minor version on; PTX serves all later ones. */
function fits({ capabilities, ptx }: ListedImage, capability: number): boolean {
  const major = Math.floor(capability / 10);
  return ptx <= capability || capabilities.some((each) => Math.floor(each / 10) === major && each <= capability);
}

export function hashOf(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
