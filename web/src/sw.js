// Owns that the page is there without a network. What was built stands above as `kept`: `scripts/finish.mjs` puts it there.

const prefix = "mist-page-";
const name = prefix + kept.version;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(name).then((cache) => cache.addAll(kept.files)));
});

// Not before every tab with the page of before is closed: until then it finds its files.
addEventListener("activate", (event) => {
  const isOld = (each) => each.startsWith(prefix) && each !== name;
  event.waitUntil(caches.keys().then((all) => Promise.all(all.filter(isOld).map((each) => caches.delete(each)))));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const [url] = request.url.split(/[?#]/);
  const file = kept.files.find((each) => new URL(each, registration.scope).href === url);
  // What else the server has, such as /publish, is none of its business.
  if (file !== undefined && ["GET", "HEAD"].includes(request.method)) event.respondWith(answer(request, file));
});

/** Names in `assets` change with their content; anything else is asked for anew, as long as somebody answers. */
async function answer(request, file) {
  const found = async () => (await caches.open(name)).match(file);
  if (file.startsWith("./assets/")) return (await found()) ?? fetch(request);
  try {
    return await fetch(request);
  } catch {
    // The page asks by HEAD whether a server is behind it: there is none, then.
    return request.method === "HEAD" ? new Response(null) : ((await found()) ?? Response.error());
  }
}
