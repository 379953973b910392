/**
 * Owns the order of calls into the core. What the core asks for in the middle of a call must wait for the call's end,
 * since the core's objects cannot be called while they are at work. Knows nothing of what the calls are.
 */

let depth = 0;
let later: (() => void)[] = [];

/** Calls into the core, then does what was put off meanwhile. */
export function enter<T>(call: () => T): T {
  depth += 1;
  try {
    return call();
  } finally {
    depth -= 1;
    settle();
  }
}

/** Does something once no call into the core is at work. */
export function defer(work: () => void): void {
  later.push(work);
  settle();
}

function settle(): void {
  if (depth > 0) return;
  while (later.length > 0) {
    const work = later;
    later = [];
    for (const [at, item] of work.entries()) {
      depth += 1;
      try {
        item();
      } catch (error) {
        // One that failed must not take the others along.
        later = [...work.slice(at + 1), ...later];
        throw error;
      } finally {
        depth -= 1;
      }
    }
  }
}
