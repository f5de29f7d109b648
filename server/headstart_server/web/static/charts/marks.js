// Vertical lines of a chart: where epochs end, and which was the best.

const STRIDES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
const LEAST_DISTANCE = 24; // pixels between lines
const LABEL_DISTANCE = 72; // pixels between the middles of labels
const GAP = 8; // pixels between labels

/** Draws marks (`{x, label, best}`) below the curves; where there is no room for all, every second, fifth, tenth, ... */
export function drawMarks(plot, marks, colours) {
  const ratio = devicePixelRatio;
  const { ctx, bbox } = plot;
  const places = marks.map((mark, index) => ({ ...mark, number: index + 1, at: Math.round(plot.valToPos(mark.x, "x", true)) }))
    .filter(({ at }) => at >= bbox.left && at <= bbox.left + bbox.width);
  if (places.length === 0) return;
  const room = (places.at(-1).at - places[0].at) / Math.max(1, places.length - 1);
  const strideOf = (distance) => STRIDES.find((every) => every * room >= distance * ratio) ?? STRIDES.at(-1);
  const stride = strideOf(LEAST_DISTANCE);
  const labelled = strideOf(LABEL_DISTANCE);
  const shown = places.filter((place) => place.best || place.number % stride === 0);
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  ctx.textAlign = "center";
  const taken = [];
  for (const place of shown.sort((one, other) => Boolean(other.best) - Boolean(one.best) || one.at - other.at)) {
    line(ctx, place, bbox, ratio, colours);
    if (place.best || place.number % labelled === 0) label(ctx, place, bbox, ratio, colours, taken);
  }
  ctx.restore();
}

function line(ctx, place, bbox, ratio, colours) {
  ctx.strokeStyle = place.best ? colours.best : colours.line;
  ctx.lineWidth = (place.best ? 1.5 : 1) * ratio;
  ctx.setLineDash(place.best ? [] : [2 * ratio, 3 * ratio]);
  ctx.beginPath();
  ctx.moveTo(place.at, bbox.top);
  ctx.lineTo(place.at, bbox.top + bbox.height);
  ctx.stroke();
}

/** Writes a label where none is yet; `taken` are the stretches of those before, the best one's first. */
function label(ctx, place, bbox, ratio, colours, taken) {
  const half = ctx.measureText(place.label).width / 2;
  const middle = Math.max(bbox.left + half, Math.min(bbox.left + bbox.width - half, place.at));
  const [from, to] = [middle - half - GAP * ratio, middle + half + GAP * ratio];
  if (taken.some(([low, high]) => from < high && to > low)) return;
  taken.push([middle - half, middle + half]);
  ctx.fillStyle = place.best ? colours.best : colours.text;
  ctx.fillText(place.label, middle, bbox.top - 3 * ratio);
}
