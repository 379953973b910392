/** The entry without any place for the core: the application gives it to `init`. */

export { init, type Source } from "./core.js";
export * from "./face.js";
