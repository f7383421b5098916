/**
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by Schindelhauer and Schomaker 2005): of the places that
 * are there, each session has one with the highest score. When a place goes, only its own sessions move; when it comes back,
 * they return.
 */

/** FNV-1a over UTF-16 units, 32 bits. For spreading, not for security. */
export function hash32(text: string, seed = 0x811c9dc5): number {
  let hash = seed;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** Higher is better. `weight` is above 0. */
export function scoreOf(session: number, place: number, weight: number): number {
  return -weight / Math.log((mix(session ^ mix(place)) + 0.5) / 4_294_967_296);
}

/** The finalizer of MurmurHash3: every bit of the input changes half of the output's. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
