/** Owns the outer form of a WebAssembly module: its sections, its functions' names and lengths. Runs nothing. */

const CUSTOM = 0;
const CODE = 10;
const DATA = 11;
const IMPORT = 2;

/** Reads numbers and names one after the other. */
class Reader {
  /** @param {Buffer} bytes */
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw new Error("the module ends too early");
    return byte;
  }

  /** A number as it stands before everything that is counted. */
  number() {
    let [value, weight] = [0, 1];
    for (;;) {
      const byte = this.byte();
      value += (byte & 127) * weight;
      if (byte < 128) return value;
      weight *= 128;
    }
  }

  name() {
    const length = this.number();
    this.at += length;
    return this.bytes.toString("utf8", this.at - length, this.at);
  }
}

/**
 * The sections of a module, in order.
 * @param {Buffer} module
 */
function* sections(module) {
  const reader = new Reader(module, 8);
  while (reader.at < module.length) {
    const start = reader.at;
    const id = reader.byte();
    const end = reader.number() + reader.at;
    const body = new Reader(module, reader.at);
    const name = id === CUSTOM ? body.name() : "";
    yield { id, name, start, end, body };
    reader.at = end;
  }
}

/**
 * The module without what no engine needs: the names of its functions, and who made it.
 * @param {Buffer} module
 */
export function stripped(module) {
  const kept = [...sections(module)].filter(({ id }) => id !== CUSTOM);
  return Buffer.concat([module.subarray(0, 8), ...kept.map(({ start, end }) => module.subarray(start, end))]);
}

/**
 * What the bytes of a module are spent on: its functions by name, its data, and the rest.
 * @param {Buffer} module
 */
export function spent(module) {
  /** @type {number[]} */
  const lengths = [];
  /** @type {Map<number, string>} */
  const names = new Map();
  let [imported, data, rest] = [0, 0, 8];
  for (const { id, name, start, end, body } of sections(module)) {
    if (id === CODE) {
      const count = body.number();
      rest += body.at - start;
      for (let index = 0; index < count; index++) {
        const from = body.at;
        body.at = body.number() + body.at;
        lengths.push(body.at - from);
      }
    } else if (id === DATA) {
      data += end - start;
    } else if (name === "name") {
      readNames(body, end, names);
    } else if (id !== CUSTOM) {
      rest += end - start;
      if (id === IMPORT) imported = importedFunctions(body);
    }
  }
  const functions = lengths.map((bytes, index) => ({ name: names.get(imported + index) ?? "?", bytes }));
  return { functions, data, rest };
}

/**
 * @param {Reader} reader
 * @param {number} end
 * @param {Map<number, string>} names
 */
function readNames(reader, end, names) {
  while (reader.at < end) {
    const kind = reader.byte();
    const next = reader.number() + reader.at;
    if (kind === 1) {
      for (let left = reader.number(); left > 0; left--) names.set(reader.number(), reader.name());
    }
    reader.at = next;
  }
}

/**
 * How many functions a module imports: they are counted before its own.
 * @param {Reader} reader
 */
function importedFunctions(reader) {
  let functions = 0;
  for (let left = reader.number(); left > 0; left--) {
    reader.name();
    reader.name();
    const kind = reader.byte();
    if (kind !== 0) throw new Error("the core imports something else than functions");
    reader.number();
    functions += 1;
  }
  return functions;
}
