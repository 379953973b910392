/** Owns what is measured: subscriptions to pairs of tags, messages with four, some tags far more common than others. */

/** A small generator of random numbers, the same everywhere. */
export function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Draws names so that the n-th is n times as rare as the first. */
function zipf(random, count) {
  const sums = [];
  let sum = 0;
  for (let rank = 1; rank <= count; rank++) sums.push((sum += 1 / rank));
  return () => {
    const drawn = random() * sum;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle] < drawn) low = middle + 1;
      else high = middle;
    }
    return `tag:${low}`;
  };
}

function distinct(draw, count) {
  const tags = new Set();
  while (tags.size < count) tags.add(draw());
  return [...tags];
}

export function workload(subscriptions, messages = 4096, tags = 1000) {
  const draw = zipf(dice(subscriptions), tags);
  return {
    subscriptions: Array.from({ length: subscriptions }, () => distinct(draw, 2)),
    messages: Array.from({ length: messages }, () => distinct(draw, 4)),
  };
}
