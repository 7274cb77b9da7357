import { HireError } from "../../../runtime/errors.ts";

/** Runs work that must fail with a HireError, and returns that; anything else that is thrown fails the test. */
export async function failureOf(work: () => unknown): Promise<HireError> {
  try {
    await work();
  } catch (thrown) {
    if (thrown instanceof HireError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was refused");
}
