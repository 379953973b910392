/** Owns what a suite can claim, in Node and in pages alike. It does not know where it runs. */

/** What a claim that does not hold is reported as. */
export class AssertionError extends Error {
  /** @override */
  name = "AssertionError";
}

/**
 * @param {unknown} holds
 * @param {string} [what]
 */
export function ok(holds, what = "it does not hold") {
  if (!holds) throw new AssertionError(what);
}

/**
 * Claims that two values are equal, looking into objects and arrays.
 * @param {unknown} found
 * @param {unknown} wanted
 * @param {string} [what]
 */
export function equal(found, wanted, what = "not equal") {
  if (!isEqual(found, wanted)) throw new AssertionError(`${what}: found ${show(found)}, wanted ${show(wanted)}`);
}

/**
 * Claims that a promise is rejected, or a function throws, and returns the error.
 * @param {PromiseLike<unknown> | (() => unknown)} outcome
 * @param {Readonly<Record<string, unknown>>} [wanted] properties of the error
 * @returns {Promise<any>}
 */
export async function rejects(outcome, wanted = {}) {
  let value;
  try {
    value = await (typeof outcome === "function" ? outcome() : outcome);
  } catch (error) {
    for (const [name, property] of Object.entries(wanted)) {
      equal(/** @type {any} */ (error)[name], property, `${name} of ${error}`);
    }
    return error;
  }
  throw new AssertionError(`no error, but ${show(value)}`);
}

/**
 * @param {unknown} a
 * @param {unknown} b
 * @returns {boolean}
 */
function isEqual(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const [left, right] = [entries(a), entries(b)];
  return left.size === right.size && [...left].every(([key, one]) => right.has(key) && isEqual(one, right.get(key)));
}

/**
 * @param {object} value
 * @returns {Map<unknown, unknown>}
 */
function entries(value) {
  if (value instanceof Map) return value;
  return new Map(value instanceof Set ? value.entries() : Object.entries(value));
}

/**
 * @param {unknown} value
 * @returns {string}
 */
function show(value) {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
