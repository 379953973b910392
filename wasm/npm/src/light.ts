/** The entry with a client alone: all that a page loads is one small script. */

export * from "./face.js";
