/** Owns how the rooms of the page are joined. What happens in each of them it leaves to them. */

import "./styles/base.css";
import "./styles/board.css";
import "./styles/panels.css";

import { Board } from "./board.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import { CopyAs, copyOn } from "./copy-as.js";
import { byId } from "./dom.js";
import { Lead } from "./lead.js";
import { LoadControls } from "./load.js";
import { Notices } from "./notices.js";
import { keepForOffline } from "./offline.js";
import { Opening, slowness } from "./opening.js";
import { Pace } from "./pace.js";
import { Publishers } from "./publishers.js";
import type { Publisher, State } from "./model.js";
import { followAddress, onChange, state } from "./state.js";
import { Timetable } from "./story.js";
import { missing } from "./tags.js";
import { Tape } from "./tape.js";
import { followTheme } from "./theme.js";
import { Traffic, type Entry } from "./traffic.js";
import { Wire, type Place } from "./wire.js";

const notices = new Notices();
const announce = (text: string): void => notices.announce(text);
const removed = (text: string, place: HTMLElement, undo: () => void): void => notices.undo(text, place, undo);

const wire = new Wire(
  (standing) => {
    const wasAway = connection.isAway;
    connection.show(standing);
    if (wasAway !== connection.isAway) {
      if (!wasAway) board.rest();
      composer.update();
    }
    lead.takeAt(standing.phase === "open" ? nameOf(standing.place) : undefined);
    if (standing.phase === "open") keepForOffline(standing.place.kind === "page");
  },
  (text) => notices.tell(text),
);
const connection = new Connection({
  go: (place) => {
    load.follow(place);
    void wire.go(place);
  },
  announce,
});
const load = new LoadControls(announce);
const copyAs = new CopyAs(announce);
const board = new Board({
  copyAs: ({ name, tags }) => copyAs.open({ kind: "subscriber", name, tags, text: "", ...connection.address() }),
  announce,
  tell: (text) => notices.tell(text),
  removed,
});
const tape = new Tape({
  copyAs: ({ tags, text }) => copyAs.open({ kind: "message", tags, text, ...connection.address() }),
  again: ({ tags, text }) => void publishByHand(tags, text),
  nameOf: sender,
});
const pace = new Pace((busy, perSecond) => {
  byId("flood").hidden = !busy;
  byId("flood-rate").textContent = Math.round(perSecond).toLocaleString("en");
  board.flood(busy);
  tape.flood(busy);
});
const traffic = new Traffic(wire, {
  appeared: (entry) => {
    hasSeenMessages = true;
    pace.beat();
    tape.add(entry);
    if (entry.error !== undefined || pace.busy) return;
    const said = entry.origin.kind === "publisher" ? entry.origin : entry.origin.kind === "elsewhere" && speaker(entry);
    if (said) publishers.speaks(said.id, entry.text);
    board.show(entry, (tag) => source(entry, tag), opening.isRunning ? slowness : 1);
  },
  delivered: (entry, subscriber) => {
    board.deliver(entry, subscriber);
    tape.touch(entry);
  },
  refused: (entry) => {
    board.recall(entry);
    tape.touch(entry);
  },
  barred: (subscriber, why) => {
    board.bar(subscriber.id, why);
    // Not while the board is just being filled.
    queueMicrotask(() => composer.update());
  },
});
const timetable = new Timetable((publisher, { tags, text }) => {
  void traffic.publish(tags, text, { kind: "publisher", id: publisher.id });
});
const publishers = new Publishers({
  speak: (publisher) => {
    const { tags, text } = timetable.next(publisher);
    if (tags.length > 0) void traffic.publish(tags, text, { kind: "publisher", id: publisher.id });
    else notices.tell(`${publisher.name} has no tags: nobody could get its messages.`);
  },
  removed,
});
const composer = new Composer({
  publish: publishByHand,
  matching: (tags) => traffic.matching(tags),
  isAway: () => connection.isAway,
  preview: (subscribers) => board.preview(subscribers),
});
const opening = new Opening(() => timetable.run(leading));
let leading = false;
let hasSeenMessages = false;
const lead = new Lead((leads) => {
  leading = leads;
  const first = state().publishers.find(({ on, tags }) => on && tags.length > 0);
  if (!leads || !first || hasSeenMessages || !opening.isDue) {
    opening.end();
    timetable.run(leads);
    return;
  }
  // One message, slowly; then the city runs.
  const saying = timetable.next(first);
  opening.tell(first, saying.tags, state().subscribers);
  void traffic.publish(saying.tags, saying.text, { kind: "publisher", id: first.id });
});

/** Publishes, and says what has come of it once that is known. */
async function publishByHand(tags: readonly string[], text: string): Promise<Entry> {
  const entry = await traffic.publish(tags, text, { kind: "hand" });
  announce(entry.error ?? `Published: ${entry.got.size} of ${entry.subscribers.length} subscribers got it.`);
  return entry;
}

/** Where a message's tag sets out from. */
function source(entry: Entry, tag: string): Element {
  const outside = byId("standing");
  switch (entry.origin.kind) {
    case "hand":
      return composer.source(tag);
    case "publisher":
      return publishers.source(entry.origin.id, tag) ?? outside;
    case "elsewhere": {
      const publisher = speaker(entry);
      return (publisher && publishers.source(publisher.id, tag)) ?? outside;
    }
  }
}

/** The publisher that says such things: another tab lets it speak, then. */
function speaker(entry: Entry): Publisher | undefined {
  return state().publishers.find(
    ({ tags, text }) => tags.length > 0 && missing(tags, entry.tags).length === 0 && text.split("\n").includes(entry.text),
  );
}

function sender(entry: Entry): string {
  switch (entry.origin.kind) {
    case "hand":
      return "you";
    case "publisher": {
      const { id } = entry.origin;
      return state().publishers.find((publisher) => publisher.id === id)?.name ?? "a publisher that is gone";
    }
    case "elsewhere": {
      const elsewhere = wire.standing.place.kind === "page" ? "another tab" : "another client of the server";
      const publisher = speaker(entry);
      return publisher ? `${publisher.name}, in ${elsewhere}` : elsewhere;
    }
  }
}

function nameOf(place: Place): string {
  return place.kind === "page" ? "page" : place.url;
}

function show(now: State): void {
  board.update(now.subscribers);
  publishers.update(now.publishers);
  const known = [...now.tags, ...now.subscribers.flatMap((subscriber) => subscriber.tags), ...now.publishers.flatMap((each) => [...each.tags, ...each.sometimes])];
  traffic.update(now.subscribers, known);
  composer.update();
  timetable.update(now.publishers);
  load.update(now.load);
  connection.follow();
}

// A jump by the address would be read as a board.
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("subscribers").focus();
});
copyOn(byId<HTMLButtonElement>("install-copy"), byId("install"), announce);
followTheme(() => load.recolour());
onChange(show);
followAddress((text) => notices.tell(text));
// Until here the rooms were empty, and not shown: so nothing moves when they are filled.
document.body.dataset.ready = "";
