/** Runs the suites in Firefox. */

import { runInFirefox } from "./harness/suite.js";

await runInFirefox();
