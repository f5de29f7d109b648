// Fewer points that look the same.

/**
 * Keeps the least and the largest point of each of equally many neighbours, so that no peak is lost.
 *
 * @returns {[number[], (number|null)[]]} at most `most` points, or all where there are no more
 */
export function thinned(x, y, most) {
  if (x.length <= most) return [x, y];
  const size = Math.ceil((2 * x.length) / most);
  const places = [];
  for (let start = 0; start < x.length; start += size) {
    let low = start;
    let high = start;
    for (let index = start; index < Math.min(start + size, x.length); index++) {
      if (y[index] < y[low]) low = index;
      if (y[index] > y[high]) high = index;
    }
    places.push(...(low === high ? [low] : [Math.min(low, high), Math.max(low, high)]));
  }
  if (places.at(-1) !== x.length - 1) places.push(x.length - 1);
  return [places.map((place) => x[place]), places.map((place) => y[place])];
}
