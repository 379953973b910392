import { runSuite } from "./harness/suite.js";
await runSuite("auth");
