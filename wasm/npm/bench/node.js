import { bench } from "./bench.js";

await bench();
