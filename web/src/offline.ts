/** Owns that the page is there without a network, as long as its broker is in this browser. What is kept, `sw.js` says. */

/** Keeps the page, or forgets it: of a board on a server nothing is shown that may be old. */
export function keepForOffline(keep: boolean): void {
  // Not there where the page came neither by https nor from this machine, nor while it is developed.
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (!workers || import.meta.env.DEV) return;
  const scope = new URL("./", location.href).href;
  const forget = async (): Promise<void> => {
    const found = await workers.getRegistration(scope);
    // One above this folder belongs to another page.
    if (found?.scope !== scope) return;
    await found.unregister();
    const names = (await caches.keys()).filter((name) => name.startsWith("mist-page-"));
    await Promise.all(names.map((name) => caches.delete(name)));
  };
  const done = keep ? workers.register("./sw.js") : forget();
  // Where browsers keep nothing, such as in a private window, the page works as long as there is a network.
  done.catch(() => undefined);
}
