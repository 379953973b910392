/** Owns the left side: the vehicles, and the form to publish by hand. It does not know who gets what they say. */

import { Chips } from "./chips.js";
import { byId, h, icon, iconButton } from "./dom.js";
import { pulse } from "./flight.js";
import { most, type Vehicle } from "./model.js";
import { change, changeVehicle, freshId, initial, state } from "./state.js";

interface View {
  vehicle: Vehicle;
  readonly element: HTMLElement;
  readonly plate: HTMLButtonElement;
  readonly name: HTMLElement;
  readonly said: HTMLElement;
  readonly toggle: HTMLButtonElement;
  readonly tags: Chips;
  readonly sometimes: Chips;
  readonly edit: HTMLElement;
  readonly fields: { name: HTMLInputElement; text: HTMLTextAreaElement; every: HTMLInputElement };
}

interface Options {
  /** Lets a vehicle speak now. */
  readonly speak: (vehicle: Vehicle) => void;
  /** Publishes by hand. */
  readonly publish: (tags: readonly string[], text: string) => void;
  readonly removed: (text: string, undo: () => void) => void;
}

/** The vehicles and the composer. */
export class Publishers {
  readonly #list = byId("vehicles");
  readonly #views = new Map<string, View>();
  readonly #options: Options;
  readonly #composed: Chips;
  #expanded = false;
  #composedTags: string[] = ["bus", "late", "line:7"];

  constructor(options: Options) {
    this.#options = options;
    byId("add-vehicle").addEventListener("click", () => this.#add());
    byId("edit-vehicles").addEventListener("click", () => this.#expand(!this.#expanded));
    byId("all-vehicles").addEventListener("click", () => {
      const on = !state().vehicles.some((vehicle) => vehicle.on);
      change({ vehicles: state().vehicles.map((vehicle) => ({ ...vehicle, on })) });
    });
    byId("reset-vehicles").addEventListener("click", () => change({ vehicles: initial.vehicles }));
    this.#composed = new Chips({
      label: "your message",
      invite: "add a tag",
      changed: (tags) => {
        this.#composedTags = tags;
        this.#refuse("");
      },
    });
    this.#composed.set(this.#composedTags);
    byId("composer-tags").append(this.#composed.element);
    byId<HTMLFormElement>("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  /** Shows these vehicles. */
  update(vehicles: readonly Vehicle[]): void {
    for (const [id, view] of this.#views) {
      if (vehicles.some((vehicle) => vehicle.id === id)) continue;
      view.element.remove();
      this.#views.delete(id);
    }
    vehicles.forEach((vehicle, index) => {
      const view = this.#views.get(vehicle.id) ?? this.#make(vehicle);
      this.#fill(view, vehicle);
      if (this.#list.children[index] !== view.element) this.#list.insertBefore(view.element, this.#list.children[index] ?? null);
    });
    const some = vehicles.some((vehicle) => vehicle.on);
    const all = byId<HTMLButtonElement>("all-vehicles");
    all.replaceChildren(icon(some ? "pause" : "play"), some ? "Stop all" : "Start all");
    all.hidden = vehicles.length === 0;
    byId("no-vehicles").hidden = vehicles.length > 0;
    byId<HTMLButtonElement>("add-vehicle").disabled = vehicles.length >= most.vehicles;
  }

  /** A vehicle speaks: its row shows it. */
  speaks(id: string, text: string): void {
    const view = this.#views.get(id);
    if (!view) return;
    view.said.textContent = text;
    pulse(view.plate, [{ scale: "1" }, { scale: "1.12" }, { scale: "1" }], 360);
    pulse(view.said, [{ opacity: 0, translate: "-4px 0" }, { opacity: 1, translate: "0 0" }], 300);
  }

  /** Where a vehicle's tag sets out: its chip, or else its plate. */
  source(id: string, tag: string): Element | undefined {
    const view = this.#views.get(id);
    const chip = view?.tags.chip(tag) ?? view?.sometimes.chip(tag);
    return chip && chip.offsetParent ? chip : view?.plate;
  }

  /** Where a message written by hand sets out. */
  composerSource(tag: string): Element {
    return this.#composed.chip(tag) ?? byId("composer");
  }

  /** In a narrow window only the plates are shown, until the visitor wants more. */
  #expand(expanded: boolean): void {
    this.#expanded = expanded;
    this.#list.dataset.expanded = String(expanded);
    byId("edit-vehicles").setAttribute("aria-expanded", String(expanded));
    byId("edit-vehicles").textContent = expanded ? "Done" : "Edit";
  }

  #send(): void {
    const text = byId<HTMLInputElement>("composer-text");
    if (this.#composedTags.length === 0) {
      this.#refuse("A message needs at least one tag: that is how it finds its readers.");
      this.#composed.add();
      return;
    }
    this.#refuse("");
    this.#options.publish(this.#composedTags, text.value);
    text.select();
  }

  #refuse(text: string): void {
    byId("composer-error").textContent = text;
  }

  #add(): void {
    const vehicle: Vehicle = {
      id: freshId(),
      name: "New vehicle",
      tags: ["bus"],
      sometimes: [],
      text: "Somewhere in town",
      every: 6,
      on: true,
    };
    change({ vehicles: [...state().vehicles, vehicle] });
    const view = this.#views.get(vehicle.id);
    if (!view) return;
    this.#expand(true);
    this.#open(view, true);
    view.fields.name.focus();
    view.fields.name.select();
  }

  #remove(id: string): void {
    const at = state().vehicles.findIndex((each) => each.id === id);
    const vehicle = state().vehicles[at];
    if (!vehicle) return;
    change({ vehicles: state().vehicles.filter((each) => each.id !== id) });
    byId("add-vehicle").focus();
    this.#options.removed(`Removed “${vehicle.name}”.`, () => {
      const now = state().vehicles;
      change({ vehicles: [...now.slice(0, at), vehicle, ...now.slice(at)] });
    });
  }

  #open(view: View, open: boolean): void {
    view.edit.hidden = !open;
    view.element.dataset.open = String(open);
    view.element.querySelector(".vehicle-edit")?.setAttribute("aria-expanded", String(open));
  }

  #fill(view: View, vehicle: Vehicle): void {
    view.vehicle = vehicle;
    view.plate.textContent = plateOf(vehicle);
    view.plate.setAttribute("aria-label", `${vehicle.name}: send a message now`);
    view.name.textContent = vehicle.name;
    view.element.dataset.on = String(vehicle.on);
    view.toggle.replaceChildren(icon(vehicle.on ? "pause" : "play"));
    view.toggle.title = vehicle.on ? "Stop" : "Start";
    view.toggle.setAttribute("aria-label", `${vehicle.on ? "Stop" : "Start"} ${vehicle.name}`);
    view.tags.rename(vehicle.name);
    view.tags.set(vehicle.tags);
    view.sometimes.rename(`${vehicle.name}, on every third message`);
    view.sometimes.set(vehicle.sometimes);
    view.element.dataset.sometimes = String(vehicle.sometimes.length > 0);
    if (view.fields.name.value !== vehicle.name) view.fields.name.value = vehicle.name;
    if (view.fields.text.value !== vehicle.text) view.fields.text.value = vehicle.text;
    if (view.fields.every.value !== String(vehicle.every)) view.fields.every.value = String(vehicle.every);
  }

  #make(vehicle: Vehicle): View {
    const id = vehicle.id;
    const plate = h("button", { type: "button", class: "plate", title: "Send a message now" });
    plate.addEventListener("click", () => this.#options.speak(view.vehicle));
    const name = h("span", { class: "vehicle-name" });
    const said = h("span", { class: "vehicle-said" });
    const toggle = iconButton("pause", "", () => changeVehicle(id, { on: !view.vehicle.on }));
    const editButton = iconButton("edit", `Edit ${vehicle.name}`, () => this.#open(view, view.element.dataset.open !== "true"));
    editButton.classList.add("vehicle-edit");
    editButton.setAttribute("aria-expanded", "false");
    const tags = new Chips({ label: vehicle.name, invite: "add a tag", changed: (list) => changeVehicle(id, { tags: list }) });
    const sometimes = new Chips({
      label: `${vehicle.name}, on every third message`,
      changed: (list) => changeVehicle(id, { sometimes: list }),
    });
    sometimes.element.classList.add("sometimes");
    sometimes.element.title = "On every third message";
    const fields = {
      name: h("input", { class: "field", maxLength: most.nameLength, autocomplete: "off" }),
      text: h("textarea", { class: "field", rows: 3, maxLength: most.textLength, spellcheck: false }),
      every: h("input", { class: "field", type: "number", min: "1", max: "60", step: "1", inputMode: "numeric" }),
    };
    fields.name.addEventListener("change", () => changeVehicle(id, { name: fields.name.value.trim() || "Unnamed" }));
    fields.text.addEventListener("change", () => changeVehicle(id, { text: fields.text.value }));
    fields.every.addEventListener("change", () => {
      const every = Math.min(60, Math.max(1, Number(fields.every.value) || 6));
      fields.every.value = String(every);
      changeVehicle(id, { every });
    });
    const edit = h(
      "div",
      { class: "vehicle-fields", hidden: true },
      h("label", {}, "Name", fields.name),
      h("label", {}, "Says, one line per message", fields.text),
      h("label", { class: "short" }, "Seconds between two messages", fields.every),
      h("button", { type: "button", class: "quiet", on: { click: () => this.#remove(id) } }, "Remove this vehicle"),
    );
    const element = h(
      "li",
      { class: "vehicle" },
      plate,
      h("div", { class: "vehicle-head" }, name, said),
      h("div", { class: "vehicle-tools" }, editButton, toggle),
      h("div", { class: "vehicle-tags" }, tags.element, sometimes.element),
      edit,
    );
    const view: View = { vehicle, element, plate, name, said, toggle, tags, sometimes, edit, fields };
    this.#views.set(id, view);
    return view;
  }
}

/** What stands on a vehicle's plate: its line, or else its initials. */
function plateOf(vehicle: Vehicle): string {
  const line = vehicle.tags.find((tag) => tag.startsWith("line:"))?.slice(5);
  const initials = vehicle.name.split(/\s+/).map((word) => word[0] ?? "").join("");
  return (line || initials || "?").slice(0, 3).toUpperCase();
}
