// A compiled model over HTTP: the folder that `hirec compile` wrote, wherever it is served.

import { HireError, reasonOf } from "../errors.ts";
import type { CompiledParts } from "../model.ts";
import { asPlan, type Plan } from "../plan.ts";

/**
 * Fetches plan.json; a loader fetches the kernels of the profile that it picks, and no others.
 * @param folder its address, absolute or relative to the page or worker.
 * @throws HireError HIRE-PLAN-005 for a plan of another version, HIRE-PLAN-008 when a file cannot be fetched or is no plan.
 */
export async function fetchCompiled(
  folder: string | URL,
  signal?: AbortSignal,
): Promise<CompiledParts & { readonly plan: Plan }> {
  const address = (file: string) => `${String(folder).replace(/\/$/, "")}/${file}`;
  const fetchText = async (file: string) => {
    const url = address(file);
    try {
      const response = await fetch(url, signal ? { signal } : {});
      if (response.ok) return await response.text();
      throw new Error(`the server answers with status ${response.status}`);
    } catch (thrown) {
      signal?.throwIfAborted();
      throw unreadable(url, reasonOf(thrown), thrown);
    }
  };
  const text = await fetchText("plan.json");
  return { plan: asPlan(parse(text, address("plan.json")), address("plan.json")), sources: fetchText };
}

/** Many servers answer with a page where there is no file. */
function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw unreadable(url, reasonOf(thrown), thrown);
  }
}

function unreadable(url: string, why: string, cause: unknown): HireError {
  return new HireError(
    {
      code: "HIRE-PLAN-008",
      message: `${url} cannot be read as part of a compiled model: ${why}`,
      fix: "Serve the whole folder that hirec compile wrote, and check its address",
    },
    { cause },
  );
}
