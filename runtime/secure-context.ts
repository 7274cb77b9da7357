// What browsers keep from pages that came over plain http.

import { HireError } from "./errors.ts";

/** HIRE-RUN-022, for a page in which something is missing for that reason. */
export function noSecureContext(): HireError {
  return new HireError({
    code: "HIRE-RUN-022",
    message: "The page is no secure context, so the browser offers it neither WebGPU nor the hashes that check a pack",
    fix: "Serve the page over https, or from localhost",
  });
}
