// What the page asks of the worker that decodes, and what it is told.

export type LiveRequest =
  | { readonly task: "load" }
  | { readonly task: "begin"; readonly options: BeginOptions }
  | { readonly task: "step" };

export type LiveResult<Task extends LiveRequest["task"]> = { load: Loaded; begin: Begun; step: Step }[Task];

/** Something for each of the two decoders. */
export interface Both<Value> {
  readonly hire: Value;
  readonly exact: Value;
}

/** tiny-lm is there, once with the layers of its spec and once with their dense twins. */
export interface Loaded {
  readonly adapter: string;
  readonly kind: "hardware" | "software";
  readonly profile: string;
  /** Weight bytes that a token reads, in all layers. */
  readonly bytes: Both<number> & { readonly whole: number };
  /** Milliseconds of each part of loading. */
  readonly times: { readonly fetch: number; readonly pack: number; readonly load: number };
}

export interface BeginOptions {
  readonly prompt: string;
  /** Whether both go on with the text that the exact one chooses, or each with its own. */
  readonly follow: "exact" | "own";
  /** How the next token is drawn from the best 32: the first, or by chance, the same for both. */
  readonly draw:
    | { readonly kind: "greedy" }
    | { readonly kind: "sampled"; readonly temperature: number; readonly seed: number };
}

export interface Begun {
  /** The part of the prompt that the model has seen. */
  readonly text: string;
}

/** One token of both. */
export interface Step {
  readonly token: Both<number>;
  /** What the token adds to the text. */
  readonly piece: Both<string>;
  /**
   * Shares of the exact choices that the compiled layers took of their own inputs: of the 32 best rows of the head, and of the 16
   * best groups of the feed-forwards, their mean.
   */
  readonly recall: { readonly head: number; readonly feedForwards: number };
  /** Milliseconds that the token took. */
  readonly time: Both<number>;
}
