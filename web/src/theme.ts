/** Owns the choice between light and dark. The first look is set by `public/theme.js`, before anything is drawn. */

import { byId, icon } from "./dom.js";

const themes = { auto: "as the system", light: "light", dark: "dark" } as const;
type Theme = keyof typeof themes;
const drawings = { auto: "auto", light: "sun", dark: "moon" } as const;

/** Lets the button change the theme; `changed` is told when colours are others. */
export function followTheme(changed: () => void): void {
  const button = byId<HTMLButtonElement>("theme");
  const draw = (): void => {
    const theme = chosen();
    button.replaceChildren(icon(drawings[theme]));
    button.title = `Colours: ${themes[theme]}`;
    button.setAttribute("aria-label", `Colours: ${themes[theme]}. Change.`);
  };
  button.addEventListener("click", () => {
    const order = Object.keys(themes) as Theme[];
    const next = order[(order.indexOf(chosen()) + 1) % order.length] ?? "auto";
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    remember(next);
    draw();
    changed();
  });
  draw();
}

function chosen(): Theme {
  const theme = document.documentElement.dataset.theme;
  return theme === "light" || theme === "dark" ? theme : "auto";
}

function remember(theme: Theme): void {
  try {
    localStorage.setItem("mist-theme", theme);
  } catch {
    // Where nothing may be kept, the choice is for this visit.
  }
}
