/** Runs the suites in Chromium. */

import { runInChromium } from "./harness/suite.js";

await runInChromium();
