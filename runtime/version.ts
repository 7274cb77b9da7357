/** The version of this package, by which processes that run together compare themselves; a test holds it to package.json. */
export const VERSION = "0.1.0";
