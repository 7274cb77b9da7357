// Any number of tokens, cut into launches of `batch`.

/**
 * What one launch gets of the values of all tokens. The last launch may have fewer tokens; the rest of its batch repeats the
 * last one, and those results are dropped. Zeros would tie in every row, which is no token to certify, and a fallback
 * would recompute them.
 */
export function batchOf<Values extends Float32Array | Uint32Array>(
  values: Values,
  tokens: number,
  launch: number,
  batch: number,
): Values {
  const each = values.length / tokens;
  if ((launch + 1) * batch <= tokens)
    return values.subarray(launch * batch * each, (launch + 1) * batch * each) as Values;
  const part = new (values.constructor as new (length: number) => Values)(batch * each);
  for (let place = 0; place < batch; place++) {
    const token = Math.min(launch * batch + place, tokens - 1);
    part.set(values.subarray(token * each, (token + 1) * each), place * each);
  }
  return part;
}
