/** Runs every suite, in Node and in Chromium. */

import { readdirSync } from "node:fs";
import { runSuite } from "./harness/suite.js";

for (const file of readdirSync(new URL("./suites/", import.meta.url))) {
  if (file.endsWith(".js")) await runSuite(file.slice(0, -".js".length));
}
