/** Compares what two tabs want their one broker to be. Knows nothing of where that lives. */

import type { BrokerOptions } from "./types.js";

/** The names of the options that are asked for and not what `running` has; what is left out may be anything. */
export function differing(running: BrokerOptions, asked: BrokerOptions): string[] {
  const names = ["token", "access", "limits"] as const;
  return names.filter((name) => asked[name] !== undefined && settled(running, name) !== settled(asked, name));
}

/** An option as a text to compare, with what the broker takes where there is none. */
function settled({ token, access = "open", limits }: BrokerOptions, name: "token" | "access" | "limits"): string {
  if (name === "limits") return JSON.stringify(Object.entries(limits ?? {}).sort());
  return String(name === "token" ? (token ?? "") : access);
}
