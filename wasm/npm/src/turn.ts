/**
 * Owns the order of what a page's broker does. What leads to more of it waits until all is done that was to be done before.
 * Knows nothing of what that is.
 */

let depth = 0;
let later: (() => void)[] = [];

/** Does something, then what was put off meanwhile. */
export function enter<T>(call: () => T): T {
  depth += 1;
  try {
    return call();
  } finally {
    depth -= 1;
    settle();
  }
}

/** Does something once nothing else is being done. */
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
