/** Owns the one tab stop that a group of controls has: arrow keys go from one to the next. It does not know what they do. */

/**
 * Makes the controls within an element one tab stop. The function returned is called whenever there are others.
 * A group that the focus has left begins anew with its first control, which is there in every layout.
 */
export function rove(element: HTMLElement, selector: string): () => void {
  const controls = (): HTMLElement[] => [...element.querySelectorAll<HTMLElement>(selector)];
  const refresh = (): void => {
    const all = controls();
    const current = all.find((each) => each === document.activeElement) ?? all[0];
    for (const each of all) {
      const index = each === current ? 0 : -1;
      if (each.tabIndex !== index) each.tabIndex = index;
    }
  };
  element.addEventListener("focusin", refresh);
  element.addEventListener("focusout", refresh);
  element.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const all = controls().filter((each) => each.checkVisibility());
    const at = all.indexOf(event.target as HTMLElement);
    if (at < 0) return;
    event.preventDefault();
    all[Math.min(all.length - 1, Math.max(0, at + step))]?.focus();
  });
  refresh();
  return refresh;
}

const steps: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowUp: -1,
  ArrowRight: 1,
  ArrowDown: 1,
  Home: -Infinity,
  End: Infinity,
};
