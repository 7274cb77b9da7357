// A C library through koffi: its functions by name, and the address of memory that is handed over inside of memory.

import { HireError, reasonOf } from "../errors.ts";

export interface Library {
  /**
   * A function that returns an int. Typed arrays are handed over by their address and not copied.
   * @param parameters types as koffi writes them.
   * @throws Error when the library has no function of that name.
   */
  bind(name: string, parameters: readonly unknown[]): (...given: readonly unknown[]) => number;
  /** The same on a thread of its own, so that the event loop goes on. */
  bindAsync(name: string, parameters: readonly unknown[]): (...given: readonly unknown[]) => Promise<number>;
  /** Where a variable of the library's lies; undefined when there is none of that name. */
  symbol(name: string): bigint | undefined;
  /** A function that returns a text of the library's, or null. */
  bindText(name: string, parameters: readonly unknown[]): (...given: readonly unknown[]) => string | null;
  /** The type of a parameter that is a struct of so many bytes, passed by value: `{ bytes }`, a Uint8Array. */
  bytesByValue(count: number): unknown;
  /** The type of a parameter through which a text of the library's comes back, in an array of one. */
  readonly outText: unknown;
  /** Where a typed array lies; it must live as long as the address is used. */
  addressOf(values: BigUint64Array): bigint;
}

/**
 * @param path or null for what the process itself is made of, such as the C library.
 * @throws HireError HIRE-RUN-007 when koffi is missing, Error with the reason when the library cannot be loaded.
 */
export async function loadLibrary(path: string | null): Promise<Library> {
  const koffi = await import("koffi").then(
    (module) => module.default,
    (thrown) => {
      throw new HireError(
        {
          code: "HIRE-RUN-007",
          message: `Package koffi cannot be loaded: ${reasonOf(thrown)}`,
          fix: "Install it with: npm install koffi",
        },
        { cause: thrown },
      );
    },
  );
  const library = koffi.load(path);
  const find = (name: string, parameters: readonly unknown[]) => library.func(name, "int", [...parameters] as string[]);
  return {
    bind: find,
    bindAsync: (name, parameters) => {
      const found = find(name, parameters);
      return (...given) =>
        new Promise((resolve, reject) => {
          found.async(...given, (error: unknown, result: number) => (error ? reject(error) : resolve(result)));
        });
    },
    symbol: (name) => {
      try {
        return koffi.address(library.symbol(name));
      } catch {
        return undefined;
      }
    },
    bindText: (name, parameters) => library.func(name, "const char *", [...parameters] as string[]),
    bytesByValue: (count) => koffi.struct({ bytes: koffi.array("uint8_t", count) }),
    outText: koffi.out("const char **"),
    addressOf: (values) => koffi.address(values),
  };
}
