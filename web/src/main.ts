/** Owns how the rooms of the page are joined. What happens in each of them it leaves to them. */

import "./styles/base.css";
import "./styles/board.css";
import "./styles/panels.css";

import { Board, drawLegend } from "./board.js";
import { Connection } from "./connection.js";
import { CopyAs } from "./copy-as.js";
import { byId } from "./dom.js";
import { DriverSeat } from "./driver-seat.js";
import { LoadControls } from "./load.js";
import type { State, Vehicle } from "./model.js";
import { Notices } from "./notices.js";
import { Publishers } from "./publishers.js";
import { followAddress, onChange, state } from "./state.js";
import { Timetable } from "./story.js";
import { missing } from "./tags.js";
import { Tape } from "./tape.js";
import { followTheme } from "./theme.js";
import { Traffic, type Entry } from "./traffic.js";
import { Wire, type Place } from "./wire.js";

const notices = new Notices();
const announce = (text: string): void => notices.announce(text);
const removed = (text: string, undo: () => void): void => notices.offer(text, "Undo", undo);

const wire = new Wire(
  (standing) => {
    connection.show(standing);
    seat.sitAt(standing.phase === "open" ? nameOf(standing.place) : undefined);
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
  copyAs: ({ tags }) => copyAs.open({ kind: "card", tags, text: "", url: connection.address() }),
  announce,
  removed,
});
const tape = new Tape({
  copyAs: ({ tags, text }) => copyAs.open({ kind: "message", tags, text, url: connection.address() }),
  again: ({ tags, text }) => publishByHand(tags, text),
  nameOf: sender,
});
const traffic = new Traffic(wire, {
  appeared: (entry) => {
    tape.add(entry);
    const said = entry.origin.kind === "vehicle" ? entry.origin : entry.origin.kind === "elsewhere" && speaker(entry);
    if (said) publishers.speaks(said.id, entry.text);
    board.show(entry, (tag) => source(entry, tag));
  },
  delivered: (entry, card) => {
    board.deliver(entry, card);
    tape.touch(entry);
  },
  refused: (entry) => {
    board.recall(entry);
    tape.touch(entry);
  },
});
const timetable = new Timetable((vehicle, { tags, text }) => {
  traffic.publish(tags, text, { kind: "vehicle", id: vehicle.id });
});
const publishers = new Publishers({
  speak: (vehicle) => {
    const { tags, text } = timetable.next(vehicle);
    if (tags.length > 0) traffic.publish(tags, text, { kind: "vehicle", id: vehicle.id });
    else notices.tell(`${vehicle.name} has no tags: nobody could get its messages.`);
  },
  publish: publishByHand,
  removed,
});
const seat = new DriverSeat((driving) => timetable.run(driving));

function publishByHand(tags: readonly string[], text: string): void {
  const entry = traffic.publish(tags, text, { kind: "hand" });
  const matching = entry.cards.filter((card) => missing(card.tags, tags).length === 0).length;
  announce(`Published. ${matching} of ${entry.cards.length} cards ask for its tags.`);
}

/** Where a message's tag sets out from. */
function source(entry: Entry, tag: string): Element {
  const outside = byId("standing");
  switch (entry.origin.kind) {
    case "hand":
      return publishers.composerSource(tag);
    case "vehicle":
      return publishers.source(entry.origin.id, tag) ?? outside;
    case "elsewhere": {
      const vehicle = speaker(entry);
      return (vehicle && publishers.source(vehicle.id, tag)) ?? outside;
    }
  }
}

/** The vehicle that says such things: another tab drives it, then. */
function speaker(entry: Entry): Vehicle | undefined {
  return state().vehicles.find(
    ({ tags, text }) => tags.length > 0 && missing(tags, entry.tags).length === 0 && text.split("\n").includes(entry.text),
  );
}

function sender(entry: Entry): string {
  switch (entry.origin.kind) {
    case "hand":
      return "you";
    case "vehicle": {
      const { id } = entry.origin;
      return state().vehicles.find((vehicle) => vehicle.id === id)?.name ?? "a vehicle that is gone";
    }
    case "elsewhere": {
      const elsewhere = wire.standing.place.kind === "page" ? "another tab" : "another client of the server";
      const vehicle = speaker(entry);
      return vehicle ? `${vehicle.name}, in ${elsewhere}` : elsewhere;
    }
  }
}

function nameOf(place: Place): string {
  return place.kind === "page" ? "page" : place.url;
}

function show(now: State): void {
  board.update(now.cards);
  publishers.update(now.vehicles);
  const known = [...now.cards.flatMap((card) => card.tags), ...now.vehicles.flatMap((each) => [...each.tags, ...each.sometimes])];
  traffic.update(now.cards, known);
  timetable.update(now.vehicles);
  load.update(now.load);
  connection.follow();
}

// A jump by the address would be read as a board.
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("cards").focus();
});
drawLegend();
followTheme(() => load.recolour());
onChange(show);
followAddress((text) => notices.tell(text));
// Until here the rooms were empty, and not shown: so nothing moves when they are filled.
document.body.dataset.ready = "";
