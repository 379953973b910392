/** Owns how elements are made. It does not know what they are for. */

type Child = Node | string | null | undefined | false;
type Props<K extends keyof HTMLElementTagNameMap> = Partial<
  Omit<HTMLElementTagNameMap[K], "style" | "dataset" | "children">
> & {
  class?: string;
  data?: Record<string, string>;
  aria?: Record<string, string>;
  on?: { [E in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[E]) => void };
};

/** Makes an element: `h("button", { type: "button", on: { click } }, "Send")`. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K,
  props: Props<K> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  const { class: classes, data, aria, on, ...rest } = props as Props<"div">;
  if (classes) element.className = classes;
  for (const [key, value] of Object.entries(data ?? {})) element.dataset[key] = value;
  for (const [key, value] of Object.entries(aria ?? {})) {
    element.setAttribute(key === "role" ? key : `aria-${key}`, value);
  }
  for (const [type, listener] of Object.entries(on ?? {})) {
    element.addEventListener(type, listener as EventListener);
  }
  Object.assign(element, rest);
  element.append(...children.filter((child): child is Node | string => !!child || child === ""));
  return element;
}

/** The element of the page with this id, which stands in `index.html`. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element with the id '${id}'`);
  return found as T;
}

const icons = {
  play: "M5 3.5v9l7-4.5z",
  pause: "M4.5 3.5h2.5v9H4.5zM9 3.5h2.5v9H9z",
  remove: "M4 4l8 8M12 4l-8 8",
  check: "M3 8.4l3.2 3.2L13 4.8",
  code: "M5.5 4.5 2 8l3.5 3.5M10.5 4.5 14 8l-3.5 3.5",
  edit: "M3 13l.6-2.7 7-7 2.1 2.1-7 7zM9.4 4.6l2 2",
  plus: "M8 3v10M3 8h10",
  send: "M2.5 8h8M7.5 4.5 11 8l-3.5 3.5M13.5 3.5v9",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M3 13l1.2-1.2M11.8 4.2 13 3",
  moon: "M13 9.6A5.5 5.5 0 0 1 6.4 3 5.5 5.5 0 1 0 13 9.6z",
  auto: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 0v12",
} as const;

/** A small drawing, for eyes only: its button has a name of its own. */
export function icon(name: keyof typeof icons): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", icons[name]);
  svg.append(path);
  return svg;
}

/** A button that shows a drawing only. */
export function iconButton(
  drawing: keyof typeof icons,
  label: string,
  click: (event: MouseEvent) => void,
): HTMLButtonElement {
  const button = h("button", { type: "button", class: "icon-button", title: label, on: { click } });
  button.setAttribute("aria-label", label);
  button.append(icon(drawing));
  return button;
}

/** Whether the visitor asked for little motion. Asked anew each time: it can change while the page is open. */
export function wantsStillness(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
