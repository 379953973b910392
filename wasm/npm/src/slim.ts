/** The entry without any place for the core: the application gives it to `init`. */

import * as core from "./core.js";

export * from "./face.js";

/**
 * What `init` takes: the URL of the core, its bytes, a response with them, the compiled module, or a promise of any of
 * these.
 */
export type Source = string | object;

/** Loads the core from `source`. */
export const init: (source: Source) => Promise<void> = (source) => core.init(source as core.Source);
