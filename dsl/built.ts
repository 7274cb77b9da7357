// What every builder of the language returns: plain frozen data. A spec is a program, so what it says is known only
// when it has run; where it was said is known only from its text. `site` joins the two: while loading a spec, the
// compiler appends the number of each call to that call's arguments.

/** The result of a builder call: what was built, the options as given, and the call's number when one was given. */
export interface Built<Kind extends string, Options> {
  readonly kind: Kind;
  readonly options: Options;
  readonly site?: number;
}

/** The number of a call, as the compiler appends it. An object, because `sizes.map(softmax)` appends numbers too. */
export interface CallNumber {
  readonly site: number;
}

/** A builder of `kind`. Nothing is checked here: the compiler checks everything at once and points at the source. */
export function builder<Kind extends string, Options>(kind: Kind): (options: Options) => Built<Kind, Options> {
  return (options: Options, ...[number]: readonly unknown[]) =>
    Object.freeze({ kind, options, ...(isCallNumber(number) && { site: number.site }) });
}

function isCallNumber(value: unknown): value is CallNumber {
  return typeof value === "object" && value !== null && typeof (value as CallNumber).site === "number";
}
