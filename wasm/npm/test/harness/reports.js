/** Owns how errors are seen that an application left uncaught. It does not know why there are any. */

/**
 * Collects what is uncaught from now on, instead of letting it fail the test.
 * @returns {{ errors: unknown[], end: () => void }}
 */
export function catchReports() {
  /** @type {unknown[]} */
  const errors = [];
  if (typeof window === "undefined") {
    const others = ["uncaughtException", "unhandledRejection"].map((name) => {
      const listeners = process.listeners(/** @type {any} */ (name));
      process.removeAllListeners(name);
      const listener = (/** @type {unknown} */ error) => void errors.push(error);
      process.on(name, listener);
      return () => {
        process.removeAllListeners(name);
        for (const old of listeners) process.on(name, old);
      };
    });
    return { errors, end: () => others.forEach((restore) => restore()) };
  }
  const over = new AbortController();
  const { signal } = over;
  window.addEventListener("error", (event) => (event.preventDefault(), errors.push(event.error)), { signal });
  window.addEventListener("unhandledrejection", (event) => (event.preventDefault(), errors.push(event.reason)), { signal });
  return { errors, end: () => over.abort() };
}
