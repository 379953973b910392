/** The administrator's commands, as requests. Knows nothing of how these are answered. */

import { MistError } from "./error.js";
import { listOf, nameOf } from "./message.js";
import type { Admin, GrantOptions, RequestOptions, TagLike } from "./types.js";
import type { Answer, Asked } from "./wire.js";

/** Asks the broker for something. */
export type Ask = (command: string, tags: string[], asked: Asked, options?: RequestOptions) => Promise<Answer>;

export function makeAdmin(ask: Ask): Admin {
  const change = (command: string) => async (token: string, tags: readonly TagLike[], options: GrantOptions = {}) => {
    const { rights = "both", ttl = 0 } = options;
    if (!["subscribe", "publish", "both"].includes(rights)) {
      throw new MistError("invalid-argument", `rights are "subscribe", "publish" or "both", not "${String(rights)}"`);
    }
    if (ttl !== "never" && (!Number.isSafeInteger(ttl) || ttl < 0)) {
      throw new MistError("invalid-argument", `ttl is a whole number of seconds or "never", not ${String(ttl)}`);
    }
    const asked = { data: checkToken(token), rights: rights === "both" ? undefined : rights, ttl: ttl || undefined };
    await ask(command, listOf(tags).map(nameOf), asked, options);
  };
  return {
    register: change("register"),
    unregister: (token, options) => change("unregister")(token, [], options),
    end: (token, options) => change("end")(token, [], options),
    set: change("set"),
    unset: change("unset"),
    tags: async (token, options) => (await ask("tags", [], { data: checkToken(token) }, options)).tags,
    who: async (options) => {
      const { connections = 0, subscribers = 0 } = await ask("who", [], {}, options);
      return { connections, subscribers };
    },
    listAll: async (options) => (await ask("listall", [], {}, options)).subscribed,
  };
}

function checkToken(token: string): string {
  if (typeof token === "string") return token;
  throw new MistError("invalid-argument", `a token is a string, not ${typeof token}`);
}
