// What the page asks of the compiler's worker, and what it is told.

import type { ModelExplanation } from "../../compiler/cli/explain/model.ts";
import type { Diagnostic } from "../../runtime/errors.ts";
import type { Plan } from "../../runtime/plan.ts";

/** How the spec is called in problems, in sources and in what is downloaded. */
export const SPEC_FILE = "spec.hire.ts";

/** A spec that compiled. */
export interface Compiled {
  /** The spec. */
  readonly text: string;
  readonly plan: Plan;
  /** What `hirec compile` writes for all WGSL and CUDA profiles, by path. */
  readonly files: ReadonlyMap<string, string>;
  readonly explanation: ModelExplanation;
  /** The explanation as `hirec explain` prints it. */
  readonly explained: string;
}

/** A word that could stand at a place, as TypeScript knows it. */
export interface Completion {
  readonly name: string;
  /** TypeScript's `ScriptElementKind`. */
  readonly kind: string;
  /** Smaller is nearer: locals before globals. */
  readonly order: string;
}

export interface Completions {
  /** Where the word begins that they replace. Places are UTF-16 units from the start of the spec. */
  readonly from: number;
  readonly entries: readonly Completion[];
}

/** A name's type and what its author says of it. */
export interface Description {
  readonly from: number;
  readonly to: number;
  readonly signature: string;
  readonly documentation: string;
}

export type Quote = '"' | "'" | "`";

/** What the worker does; each answers once. */
export interface Tasks {
  compile(text: string): Promise<Compiled | readonly Diagnostic[]>;
  /** @param typed the quote before the place, where one was just typed: behind the end of a text nothing is to be completed. */
  complete(text: string, at: number, typed?: Quote): Completions | undefined;
  /** Of a completion. */
  describe(text: string, at: number, name: string): Description | undefined;
  /** Of what stands at a place. */
  hover(text: string, at: number): Description | undefined;
}

export interface Request {
  readonly id: number;
  readonly task: keyof Tasks;
  readonly given: readonly unknown[];
}

/** `ready` when the compiler has been loaded; what was thrown, where that is a bug of hirec. */
export type Answer =
  | "ready"
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly bug: string };
