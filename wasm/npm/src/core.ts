/** Holds the core: loads it once, when it is first needed. It does not know what the core is used for. */

import * as glue from "../gen/mist.js";

/** The core's own exports, once it is loaded. @internal */
export type Core = typeof glue;

/** What `init` takes: the compiled module, its bytes, or where to fetch them. */
export type Source = Given | Promise<Given>;

type Given = WebAssembly.Module | BufferSource | Response | Request | URL | string;

let load: (() => Promise<unknown> | unknown) | undefined;
let loaded: Promise<Core> | undefined;

/** Says how the core is loaded; each entry does so, and nothing is loaded yet. */
export function loadWith(how: () => Promise<unknown> | unknown): void {
  load ??= how;
}

/** Loads the core from `source`. */
export function init(source: Source): Promise<void> {
  return loadFrom(() => instantiate(source)).then(() => undefined);
}

/** Compiles the core from `source`, while it arrives. */
export async function instantiate(source: Source): Promise<void> {
  await glue.default({ module_or_path: await source });
}

/** Loads the core from the bytes of a module, at once. */
export function initSync(module: BufferSource): void {
  glue.initSync({ module });
}

/** The core, loaded. @internal */
export function core(): Promise<Core> {
  return loadFrom(load ?? (() => Promise.reject(new Error("the core is not loaded: call init() with it first"))));
}

function loadFrom(how: () => Promise<unknown> | unknown): Promise<Core> {
  loaded ??= Promise.resolve()
    .then(how)
    .then(() => glue)
    .catch((error: unknown) => {
      // The next one may have more luck.
      loaded = undefined;
      throw error;
    });
  return loaded;
}
