/** Holds the core of brokers: loads it once, when the first is made. It does not know what the core is used for. */

import * as glue from "../gen/mist.js";

/** The core's own exports, once it is loaded. @internal */
export type Core = typeof glue;

/** What `init` takes: the compiled module, its bytes, or where to fetch them. */
export type Source = Given | Promise<Given>;

type Given = WebAssembly.Module | BufferSource | Response | Request | URL | string;

let find: (() => Source) | undefined;
let loaded: Promise<Core> | undefined;

/** Says where the core is; nothing is loaded yet. */
export function loadFrom(source: () => Source): void {
  find ??= source;
}

/** Loads the core from `source`. */
export function init(source: Source): Promise<void> {
  return load(() => source).then(() => undefined);
}

/** The core, loaded. @internal */
export function core(): Promise<Core> {
  return load(find ?? (() => Promise.reject(new Error("the core is not loaded: call init() with it first"))));
}

function load(source: () => Source): Promise<Core> {
  loaded ??= instantiate(source).catch((error: unknown) => {
    // The next one may have more luck.
    loaded = undefined;
    throw error;
  });
  return loaded;
}

/** Compiles the core, while it arrives. */
async function instantiate(source: () => Source): Promise<Core> {
  await glue.default({ module_or_path: await source() });
  return glue;
}
