/**
 * Owns what a client decides: the life of its connection, its tokens, its requests. It opens no socket, reads no clock and
 * draws no random number: verbs go in with the time, outputs are taken out.
 *
 * It decides as the core's client does, to which the tables `tests/vectors/client*.json` hold both.
 */

import { MistError, textOf } from "./error.js";
import { Kept, offline } from "./kept.js";
import { sorted } from "./message.js";
import type { Output, ServerError, Settings } from "./output.js";
import { Requests, show } from "./requests.js";
import { delay, pauseAfter } from "./retry.js";
import type { Code } from "./types.js";
import { LIVE, NOWHERE, type Wanted, WantedSets } from "./wanted.js";
import { type Asked, type Incoming, answerOf, countOf, read, write } from "./wire.js";

/** For how long nobody is asked for a token after one failed, at least. */
const PAUSE = 1000;

/** What a broker says of a token that may be valid all the same. */
const PASSING = ["store-unavailable", "uncertain", "too-many-wrong-tokens"];

export class Machine {
  #settings: Settings;
  #random: () => number;
  #phase: "connecting" | "restoring" | "open" | "expired" | "waiting" | "closed" = "waiting";
  /** Until when connecting may take, when the next attempt is made, or since when it is open. */
  #time = 0;
  /** Answers that are still to come before it is open. */
  #unsettled = 0;
  /** Attempts since the last connection that lasted. */
  #failures = 0;
  #wasOpen = false;
  /** Whether there is a source of further tokens. */
  #canRenew = false;
  /** How far the next token is: to be asked for then, asked for until then, or presented. */
  #renewal: "none" | "due" | "asked" | "presented" = "none";
  #renewalTime = 0;
  #renewalFailures = 0;
  #outputs: Output[] = [];
  #requests = new Requests(this.#outputs);
  #sets = new WantedSets();
  #kept: Kept;
  /** When the last message came, and when the ping was sent that nothing has come after. */
  #heard = 0;
  #asked: number | undefined;
  #closed: MistError | undefined;

  /** `random` gives numbers from 0 to 1, without that. */
  constructor(settings: Settings, random: () => number, now: number) {
    this.#settings = settings;
    this.#random = random;
    this.#kept = new Kept(settings.offlineMessages, settings.offlineBytes, settings.offlineAge);
    this.#connect(now);
  }

  /** Takes out what is to be done next. What was handed over is sent before the connection is closed. */
  poll(): Output | undefined {
    const [next] = this.#outputs;
    if (this.#requests.wire.length > 0 && (!next || next[0] === "disconnect")) return ["send", this.#requests.wire.shift()!];
    return this.#outputs.shift();
  }

  // --- the connection -----------------------------------------------------------------------------------------------

  /** Takes the connection, and the token for it; `isStatic` when it would be the same at the next attempt. */
  open(now: number, token: string | undefined, isStatic: boolean): void {
    if (this.#phase !== "connecting") return;
    this.#asked = undefined;
    this.#canRenew = token !== undefined && !isStatic;
    this.#renewalFailures = 0;
    if (token !== undefined) this.#present(token, isStatic);
    this.#restore(now, token === undefined ? 0 : 1);
  }

  /** Asks for all that is wanted; so many answers are still to come for what was asked before. */
  #restore(now: number, unsettled: number): void {
    this.#heard = now;
    for (const wanted of this.#sets.all()) {
      this.#sendSubscribe(wanted, true);
      unsettled += 1;
    }
    // Something may take connections for a broker that is not there.
    if (unsettled === 0) this.#requests.errand("ping", true);
    this.#unsettled = unsettled || 1;
    this.#phase = "restoring";
  }

  /** Notes that the connection ended, with this code if it has one, or that there will be none. */
  lost(now: number, code: number | undefined, reason: string): void {
    if (!this.#hasConnection()) return;
    this.#lose(now, reason, pauseAfter(code, this.#settings, this.#random));
  }

  /** Asks for a sign of life now. While waiting, tries at once. */
  probe(now: number): void {
    if (this.#phase === "waiting") this.#connect(now);
    else if (this.#phase === "open" && this.#asked === undefined) this.#ping(now);
  }

  /** Ends the client. What was handed over before is sent; what waits for an answer fails. */
  close(): void {
    if (this.#phase === "closed") return;
    const hasConnection = this.#hasConnection();
    this.#end("closed", "closed by the application");
    if (hasConnection) this.#outputs.push(["disconnect"]);
  }

  /** When {@link timeout} is due, if ever; another time after every verb. */
  due(): number | undefined {
    const times = [this.#phaseDue(), this.#kept.due, this.#requests.nextDeadline, this.#renewalDue()];
    const least = Math.min(...times.map((time) => time ?? Infinity));
    return least < Infinity ? least : undefined;
  }

  /** Does what is due. */
  timeout(now: number): void {
    const { timeout } = this.#settings;
    for (let old; (old = this.#requests.expired(now)); ) {
      const [request, { local }] = old;
      const left = this.#sets.remove(local);
      if (left) this.#requests.errand("unsubscribe", false, left.tags);
      this.#requests.timeOut(request, timeout);
    }
    this.#discardOld(now);
    this.#renewIfDue(now);
    if (now < (this.#phaseDue() ?? Infinity)) return;
    if (this.#phase === "waiting") this.#connect(now);
    else if (this.#phase === "open" && this.#asked === undefined) this.#ping(now);
    else {
      const after = show(timeout);
      this.#outputs.push(["disconnect"]);
      if (this.#phase === "connecting") this.#lose(now, `no connection within ${after}`);
      else if (this.#phase === "open") this.#lose(now, `no sign of life within ${after}`);
      else this.#lose(now, `connected, but the server sent nothing for ${after}`);
    }
  }

  #hasConnection(): boolean {
    return this.#phase !== "waiting" && this.#phase !== "closed";
  }

  #connect(now: number): void {
    this.#phase = "connecting";
    this.#time = now + this.#settings.timeout;
    this.#outputs.push(["connecting"], ["connect"]);
  }

  /** Counts an answer that `open` waits for. */
  #settle(now: number): void {
    if (this.#phase !== "restoring" || (this.#unsettled -= 1) > 0) return;
    this.#phase = "open";
    this.#time = now;
    this.#discardOld(now);
    for (const { text, request = 0 } of this.#kept.takeAll()) {
      const waiting = this.#requests.waiting.get(request);
      if (waiting) waiting.awaits = "wire";
      if (waiting || request === 0) this.#requests.wire.push(text);
    }
    this.#outputs.push(["open", this.#wasOpen]);
    this.#wasOpen = true;
  }

  /** Loses the connection, and makes no other for `pause` and the time that the policy adds. */
  #lose(now: number, reason: string, pause = 0): void {
    const { retryLeast, retryMost } = this.#settings;
    // A server that takes connections and drops them at once must not be hammered.
    if (this.#phase === "open" && now - this.#time >= retryMost) this.#failures = 0;
    this.#renewal = "none";
    this.#sets.connectionLost();
    this.#requests.connectionLost(reason);
    if (retryLeast < 0) return this.#end("closed", reason);
    const retryIn = pause + delay(this.#failures, this.#settings, this.#random);
    this.#failures += 1;
    this.#phase = "waiting";
    this.#time = now + retryIn;
    this.#outputs.push(["waiting", reason, retryIn]);
  }

  #end(code: Code, reason: string, serverCode?: string): void {
    this.#renewal = "none";
    this.#closed = new MistError(code, `the client is closed (${reason}): connect anew`, undefined, serverCode);
    this.#requests.end(this.#closed);
    this.#tellDiscarded(this.#kept.takeAll().filter(({ request }) => request === undefined).length);
    this.#outputs.push(["closed", code, reason, serverCode]);
    this.#phase = "closed";
  }

  /** When something is due because nothing has happened. */
  #phaseDue(): number | undefined {
    const { heartbeat, timeout } = this.#settings;
    if (this.#phase === "connecting" || this.#phase === "waiting") return this.#time;
    if (this.#phase === "restoring") return this.#heard + timeout;
    if (this.#phase !== "open") return undefined;
    if (this.#asked !== undefined) return this.#asked + timeout;
    return heartbeat > 0 ? this.#heard + heartbeat : undefined;
  }

  #ping(now: number): void {
    this.#requests.errand("ping", false);
    this.#asked = now;
  }

  // --- tokens -------------------------------------------------------------------------------------------------------

  /** Takes the token that `obtain-token` asked for. */
  token(now: number, token: string): void {
    if (this.#renewal !== "asked") return;
    this.#present(token, false);
    if (this.#phase === "expired") this.#restore(now, 1);
  }

  /** Notes that there is no token, and why; `isFinal` when there will be none. */
  noToken(now: number, reason: string, isFinal: boolean): void {
    const isConnecting = this.#phase === "connecting";
    if (!isConnecting && this.#renewal !== "asked") return;
    if (!isFinal) return this.#tokenFailed(now, reason);
    this.#end("auth", `no token: ${reason}`);
    if (!isConnecting) this.#outputs.push(["disconnect"]);
  }

  #present(token: string, isStatic: boolean): void {
    this.#requests.errand("auth", isStatic, [], token);
    this.#renewal = "presented";
  }

  /** Notes that the broker took the token, which ends in so many seconds. */
  #tokenTaken(now: number, expiresIn: number | undefined): void {
    this.#renewalFailures = 0;
    this.#renewal = "none";
    if (expiresIn === undefined || !this.#canRenew) return;
    // Early enough for another try, and not at the same time as all that connected together.
    const after = expiresIn * (750 + Math.floor(this.#random() * 150));
    [this.#renewal, this.#renewalTime] = ["due", now + Math.max(after, PAUSE)];
  }

  #tokenRefused(now: number, { text, code }: ServerError, isStatic: boolean): void {
    if (this.#phase !== "open") {
      this.#outputs.push(["disconnect"]);
      this.#requests.wire.splice(0);
      if (PASSING.includes(code)) return this.#lose(now, text);
    }
    const reason = `the server refused the token: ${text}`;
    if (isStatic) this.#end("auth", reason, code);
    else this.#tokenFailed(now, reason, code);
  }

  /** Tells of a token that cannot be had, and sees to another: on this connection while there is one. */
  #tokenFailed(now: number, reason: string, serverCode?: string): void {
    this.#outputs.push(["token-failed", reason, serverCode]);
    if (!this.#isRenewing()) return this.#lose(now, reason, PAUSE);
    const pause = PAUSE + delay(this.#renewalFailures, this.#settings, this.#random);
    [this.#renewal, this.#renewalTime] = ["due", now + pause];
    this.#renewalFailures += 1;
  }

  /** Notes that the token has ended on the open connection, and with it all that the broker held for it. */
  #tokenExpired(now: number, { text, code }: ServerError): void {
    if (this.#phase === "expired") return;
    if (!this.#canRenew) {
      this.#outputs.push(["disconnect"]);
      return this.#end("auth", `the server refused the token: ${text}`, code);
    }
    const { errands } = this.#requests;
    for (const [number, { command }] of errands) if (command !== "auth") errands.delete(number);
    this.#sets.connectionLost();
    this.#phase = "expired";
    this.#outputs.push(["connecting"]);
    // The next token may have crossed the news.
    if (this.#renewal === "presented") this.#restore(now, 1);
    else if (this.#renewal !== "asked") this.#obtainToken(now);
  }

  #obtainToken(now: number): void {
    [this.#renewal, this.#renewalTime] = ["asked", now + this.#settings.timeout];
    this.#outputs.push(["obtain-token"]);
  }

  /** Whether the connection goes on while the next token is seen to. */
  #isRenewing(): boolean {
    return this.#phase === "open" || this.#phase === "expired";
  }

  #renewalDue(): number | undefined {
    const isTimed = this.#renewal === "due" || this.#renewal === "asked";
    return isTimed && this.#isRenewing() ? this.#renewalTime : undefined;
  }

  #renewIfDue(now: number): void {
    if (now < (this.#renewalDue() ?? Infinity)) return;
    if (this.#renewal === "due") this.#obtainToken(now);
    else this.#tokenFailed(now, `no token within ${show(this.#settings.timeout)}`);
  }

  // --- verbs --------------------------------------------------------------------------------------------------------

  /** Wants messages with all of these tags, which are sorted. Returns the numbers of the subscription and the request. */
  subscribe(now: number, tags: readonly string[]): [subscription: number, request: number] {
    this.#checkOpen();
    const local = this.#sets.add(tags);
    const wanted = this.#sets.of(local)!;
    const request = this.#request(now, "subscribe", "subscription", local);
    if (wanted.onWire === LIVE) this.#requests.answer(request);
    else {
      wanted.locals.set(local, request);
      const maySubscribe = this.#phase === "restoring" || this.#phase === "open";
      if (wanted.onWire === NOWHERE && maySubscribe) this.#sendSubscribe(wanted, false);
    }
    return [local, request];
  }

  /** Gives up a subscription; the last one for a tag set ends it at the broker. Returns the number of the request. */
  unsubscribe(now: number, local: number): number {
    this.#checkOpen();
    const request = this.#request(now, "unsubscribe", "wire-or-loss");
    const waiting = this.#sets.of(local)?.locals.get(local) ?? 0;
    const left = this.#sets.remove(local);
    this.#requests.fail(waiting, "unsubscribed", () => "unsubscribed before the server acknowledged the subscription");
    if (left) this.#requests.send("unsubscribe", left.tags, { id: request });
    else this.#requests.answer(request);
    return request;
  }

  /** Whether the broker holds a subscription. */
  holds(local: number): boolean {
    return this.#sets.of(local)?.onWire === LIVE;
  }

  /** Publishes; with the number of a request that waits for the acknowledgement, if one does. */
  publish(now: number, tags: readonly string[], data: string, id?: number): void {
    this.#checkOpen();
    if (this.#phase === "open") this.#requests.send("publish", tags, { data, id });
    else this.#kept.push(now, write("publish", tags, { data, id }), id);
  }

  /** Publishes and asks for an acknowledgement. Returns the number of the request. */
  publishAcked(now: number, tags: readonly string[], data: string): number {
    const request = this.#request(now, "publish", this.#phase === "open" ? "wire" : "buffer");
    try {
      this.publish(now, tags, data, request);
    } catch (error) {
      this.#requests.waiting.delete(request);
      throw error;
    }
    return request;
  }

  /** Sends any command. Returns the number of the request. */
  request(now: number, command: string, tags: readonly string[], asked: Asked): number {
    this.#checkOpen();
    if (this.#phase !== "open") throw offline(command);
    const id = this.#request(now, command, "wire");
    this.#requests.send(command, tags, { ...asked, id });
    return id;
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#closed;
  }

  #discardOld(now: number): void {
    let discarded = 0;
    for (const { request } of this.#kept.takeOld(now)) {
      if (request === undefined) discarded += 1;
      else this.#requests.timeOut(request, this.#settings.offlineAge);
    }
    this.#tellDiscarded(discarded);
  }

  #tellDiscarded(count: number): void {
    if (count > 0) this.#outputs.push(["discarded", count]);
  }

  #request(now: number, ...request: [command: string, awaits: Parameters<Requests["add"]>[2], local?: number]): number {
    return this.#requests.add(now + this.#settings.timeout, ...request);
  }

  #sendSubscribe(wanted: Wanted, flag: boolean): void {
    wanted.onWire = this.#requests.errand("subscribe", flag, wanted.tags, "", wanted);
  }

  // --- what the broker says -----------------------------------------------------------------------------------------

  /** Takes a message. */
  receive(now: number, text: string): void {
    if (!this.#hasConnection() || this.#phase === "connecting" || text.trim() === "") return;
    this.#heard = now;
    this.#asked = undefined;
    let message: Incoming;
    try {
      message = read(text);
    } catch (error) {
      this.#outputs.push(["unreadable", textOf(error)]);
      return;
    }
    const { command, error, code } = message;
    const refusal = error ? { text: error, code: typeof code === "string" ? code : "" } : undefined;
    const id = countOf(message["id"]);
    if (id !== undefined) this.#answered(now, id, refusal, message);
    else if (refusal?.code === "token-expired") this.#tokenExpired(now, refusal);
    else if (refusal) this.#refused(message, refusal);
    else if (command === "publish") {
      const { tags, matches } = this.#sets.match(message.tags ?? []);
      this.#outputs.push(["message", tags, message.data ?? "", matches]);
    } else if (command === "dropped") this.#outputs.push(["dropped", countOf(Number(message.data)) ?? 0]);
    else if (command === "throttled") {
      // Answers are delayed, so the deadlines of requests are extended.
      for (const waiting of this.#requests.waiting.values()) waiting.deadline = now + this.#settings.timeout;
    }
  }

  #answered(now: number, id: number, error: ServerError | undefined, message: Incoming): void {
    if (this.#requests.waiting.get(id)?.awaits.startsWith("wire")) {
      if (error) this.#requests.refuse(id, error);
      else this.#requests.answer(id, answerOf(message));
      return;
    }
    const errand = this.#requests.errands.get(id);
    if (!errand) return;
    this.#requests.errands.delete(id);
    const { command, flag, wanted } = errand;
    if (command === "auth") {
      if (error) return this.#tokenRefused(now, error, flag);
      this.#tokenTaken(now, countOf(message["expires_in"]));
      return this.#settle(now);
    }
    // It may have been given up, and be wanted anew.
    if (wanted?.onWire === id) this.#settleSet(wanted, error);
    if (flag) this.#settle(now);
  }

  #settleSet(wanted: Wanted, error: ServerError | undefined): void {
    if (error) return this.#drop(wanted, error);
    wanted.onWire = LIVE;
    for (const [local, request] of wanted.locals) {
      wanted.locals.set(local, 0);
      this.#requests.answer(request);
    }
  }

  /** Stops wanting a set that the broker does not hold, and tells those concerned. */
  #drop(wanted: Wanted, error: ServerError): void {
    const { locals, tags } = wanted;
    this.#sets.removeSet(wanted);
    for (const request of locals.values()) this.#requests.refuse(request, error);
    if ([...locals.values()].includes(0)) this.#outputs.push(["revoked", tags, error.text, error.code]);
  }

  /** Takes an error that answers no request: a refused publish, or a subscription that is gone. */
  #refused({ command, tags }: Incoming, error: ServerError): void {
    if (command === "subscribe" || command === "unsubscribe") {
      const wanted = this.#sets.find(sorted(tags ?? []));
      // A set that was asked for since has its own answer coming.
      if (wanted?.onWire === LIVE) return this.#drop(wanted, error);
    }
    this.#outputs.push(["refused", `the broker refused ${command ?? ""}: ${error.text}`, error.code]);
  }
}
