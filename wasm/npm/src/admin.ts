/** The administrator's commands, as requests. Knows nothing of how these are answered. */

import { MistError } from "./error.js";
import { listOf, nameOf } from "./message.js";
import type { Admin, GrantOptions, MistErrorLike, RequestOptions, TagLike } from "./types.js";
import type { Answer, Asked } from "./wire.js";

/** Asks the broker for something. */
export type Ask = (command: string, tags: string[], asked: Asked, options?: RequestOptions) => Promise<Answer>;

export function makeAdmin(askBroker: Ask): Admin {
  const ask: Ask = (...request) =>
    askBroker(...request).catch((error: MistErrorLike) => {
      if (error.serverCode === "unknown-command") error.message += ": the server has no authenticator";
      throw error;
    });
  const change = (command: string) => async (token: string, tags: readonly TagLike[], options: GrantOptions = {}) => {
    const { rights, ttl = 0 } = options;
    if (ttl !== "never" && (!Number.isSafeInteger(ttl) || ttl < 0)) {
      throw new MistError("invalid-argument", `ttl is in whole seconds or "never", not ${String(ttl)}`);
    }
    await ask(command, listOf(tags).map(nameOf), { data: checkToken(token), rights, ttl: ttl || undefined }, options);
  };
  return {
    register: change("register"),
    unregister: (token, options) => change("unregister")(token, [], options),
    end: (token, options) => change("end")(token, [], options),
    set: change("set"),
    unset: change("unset"),
    tags: async (token, options) => (await ask("tags", [], { data: checkToken(token) }, options)).tags,
    who: async (options) => {
      const { connections = 0, subscribers = 0, nodes } = await ask("who", [], {}, options);
      return { connections, subscribers, ...(nodes !== undefined && { nodes }) };
    },
    listAll: async (options) => (await ask("listall", [], {}, options)).subscribed,
  };
}

function checkToken(token: string): string {
  if (typeof token === "string") return token;
  throw new MistError("invalid-argument", `a token is a string, not ${typeof token}`);
}
