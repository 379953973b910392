/** Runs the suites in Node. */

import { runInNode } from "./harness/suite.js";

await runInNode();
