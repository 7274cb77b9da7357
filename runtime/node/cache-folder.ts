// Where things lie that are made once and kept: the user's cache folder, or the temporary one where that cannot be written.

import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

/** In the order in which to try them: a home folder that cannot be written is no reason to fail. */
export function cacheFolders(): readonly string[] {
  return [join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "hirec"), join(tmpdir(), "hirec")];
}
