/**
 * Holds the core of brokers, which is WebAssembly: compiles it once, and passes calls to an instance of it, one for each
 * broker. Knows nothing of what brokers use it for.
 */

/** What `init` takes: the compiled module, its bytes, or where to fetch them. */
export type Source = Given | Promise<Given>;

type Given = WebAssembly.Module | BufferSource | Response | Request | URL | string;

let find: (() => Source) | undefined;
let compiled: Promise<WebAssembly.Module> | undefined;

/** Says where the core is; nothing is loaded yet. */
export function loadFrom(source: () => Source): void {
  find ??= source;
}

/** Loads the core from `source`. */
export async function init(source: Source): Promise<void> {
  await load(() => source);
}

/** An instance of the core. @internal */
export async function core(): Promise<Core> {
  const module = await load(find ?? (() => Promise.reject(new Error("the core is not loaded: call init() with it first"))));
  return new Core((await WebAssembly.instantiate(module)).exports as unknown as Exports);
}

function load(source: () => Source): Promise<WebAssembly.Module> {
  compiled ??= compile(source).catch((error: unknown) => {
    // The next one may have more luck.
    compiled = undefined;
    throw error;
  });
  return compiled;
}

async function compile(source: () => Source): Promise<WebAssembly.Module> {
  let given = await source();
  if (given instanceof WebAssembly.Module) return given;
  if (typeof given === "string" || given instanceof URL || given instanceof Request) given = await fetch(given);
  if (!(given instanceof Response)) return WebAssembly.compile(given as BufferSource);
  if (!given.ok) throw new Error(`${given.url}: ${given.status} ${given.statusText}`);
  // Not as it arrives: for that a server would have to know the type of such files.
  return WebAssembly.compile(await given.arrayBuffer());
}

/** What the core's module exports. Texts are given in the room that it makes for them. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  room(bytes: number): number;
  effects(): number;
  effects_len(): number;
  limit(value: number): number;
  start(seed: bigint, hasToken: number, isScoped: number): void;
  connect(isPage: number): number;
  disconnect(session: number): void;
  receive(session: number, now: number): void;
  expire(now: number): void;
  add_command(): number;
  answer(session: number, isError: number): void;
  reach(session: number): number;
  subscribers(): number;
  subscriptions(): number;
}

/** What is to be done, in the order of the core's kinds. */
export type Kind = "send" | "deliver" | "command" | "closed" | "expiry" | "wrong";

const KINDS: readonly Kind[] = ["send", "deliver", "command", "closed", "expiry", "wrong"];

/** Something that the core wants done. */
export interface Effect {
  readonly kind: Kind;
  readonly session: number;
  readonly numbers: readonly number[];
  readonly texts: readonly string[];
}

const now = (): number => Date.now() / 1000;

/** The core of one broker. What a call wants done is returned by it. */
export class Core {
  #wasm: Exports;

  constructor(wasm: Exports) {
    this.#wasm = wasm;
  }

  /** Sets a limit of the broker that is to be; returns what is wrong with it. */
  limit(name: string, value: number): readonly Effect[] {
    return this.#do([name], (wasm) => wasm.limit(value));
  }

  /** Makes the broker. */
  start(seed: bigint, token: string | undefined, isScoped: boolean): void {
    this.#do([token ?? ""], (wasm) => wasm.start(seed, Number(token !== undefined), Number(isScoped)));
  }

  /** Opens a session, of the page itself or not, and returns its number. */
  connect(isPage: boolean): number {
    return this.#wasm.connect(Number(isPage));
  }

  disconnect(session: number): readonly Effect[] {
    return this.#do([], (wasm) => wasm.disconnect(session));
  }

  /** Takes a message of a session, as it goes over the wire. */
  receive(session: number, text: string): readonly Effect[] {
    return this.#do([text], (wasm) => wasm.receive(session, now()));
  }

  /** Ends what is due by now. */
  expire(): readonly Effect[] {
    return this.#do([], (wasm) => wasm.expire(now()));
  }

  addCommand(name: string): void {
    this.#do([name], (wasm) => wasm.add_command());
  }

  /** Answers a custom command: with an error, with data and tags, or without anything. */
  answer(session: number, isError: boolean, texts: readonly string[]): readonly Effect[] {
    return this.#do(texts, (wasm) => wasm.answer(session, Number(isError)), true);
  }

  /** To whom a message without data goes; nothing where the core has to take it as any other. */
  reach(session: number, text: string): readonly Effect[] {
    return this.#do([text], (wasm) => wasm.reach(session));
  }

  get subscribers(): number {
    return this.#wasm.subscribers();
  }

  get subscriptions(): number {
    return this.#wasm.subscriptions();
  }

  get memoryBytes(): number {
    return this.#wasm.memory.buffer.byteLength;
  }

  /** Hands texts over, calls the core, and reads what it wants done. */
  #do(texts: readonly string[], call: (wasm: Exports) => unknown, isList = false): Effect[] {
    const wasm = this.#wasm;
    const written = texts.map((text) => new TextEncoder().encode(text));
    let at = wasm.room(written.reduce((sum, { length }) => sum + length + (isList ? 4 : 0), 0));
    // The memory moves when it grows.
    const input = new DataView(wasm.memory.buffer);
    for (const bytes of written) {
      if (isList) {
        input.setUint32(at, bytes.length, true);
        at += 4;
      }
      new Uint8Array(input.buffer, at).set(bytes);
      at += bytes.length;
    }
    call(wasm);
    return this.#effects();
  }

  #effects(): Effect[] {
    const effects: Effect[] = [];
    let at = this.#wasm.effects();
    const end = at + this.#wasm.effects_len();
    const output = new DataView(this.#wasm.memory.buffer);
    const number = (): number => output.getUint32((at += 4) - 4, true);
    const text = (): string => {
      const bytes = number();
      return new TextDecoder().decode(new Uint8Array(output.buffer, (at += bytes) - bytes, bytes));
    };
    const list = <T>(item: () => T): T[] => Array.from({ length: number() }, item);
    while (at < end) effects.push({ kind: KINDS[number()]!, session: number(), numbers: list(number), texts: list(text) });
    return effects;
  }
}
