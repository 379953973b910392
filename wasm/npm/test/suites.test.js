/** Runs every suite, in Node and in browsers. */

import { readdirSync } from "node:fs";
import { runSuites } from "./harness/suite.js";

const files = readdirSync(new URL("./suites/", import.meta.url)).filter((file) => file.endsWith(".js"));
await runSuites(files.map((file) => file.slice(0, -".js".length)));
