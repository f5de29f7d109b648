// Vertical lines of a chart: where epochs end, and which was the best.

const LEAST_DISTANCE = 9; // pixels between lines
const LABEL_WIDTH = 62;

/** Draws marks (`{x, label, best}`) below the curves; where there is no room for all, every so many. */
export function drawMarks(plot, marks, colours) {
  if (marks.length === 0) return;
  const ratio = devicePixelRatio;
  const { ctx, bbox } = plot;
  const places = marks.map((mark) => ({ ...mark, at: Math.round(plot.valToPos(mark.x, "x", true)) }))
    .filter(({ at }) => at >= bbox.left && at <= bbox.left + bbox.width);
  ctx.save();
  ctx.font = `${11 * ratio}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  let lastLine = -Infinity;
  let lastLabel = -Infinity;
  const best = places.find((place) => place.best);
  for (const place of places) {
    if (!place.best && place.at - lastLine < LEAST_DISTANCE * ratio) continue;
    line(ctx, place, bbox, ratio, colours);
    lastLine = place.at;
    const nearBest = best && !place.best && Math.abs(place.at - best.at) < LABEL_WIDTH * ratio;
    if (place.best || (!nearBest && place.at - lastLabel >= LABEL_WIDTH * ratio)) {
      label(ctx, place, bbox, ratio, colours);
      lastLabel = place.at;
    }
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

function label(ctx, place, bbox, ratio, colours) {
  const half = ctx.measureText(place.label).width / 2;
  const right = bbox.left + bbox.width - half;
  ctx.fillStyle = place.best ? colours.best : colours.text;
  ctx.textAlign = "center";
  ctx.fillText(place.label, Math.max(bbox.left + half, Math.min(right, place.at)), bbox.top - 3 * ratio);
}
