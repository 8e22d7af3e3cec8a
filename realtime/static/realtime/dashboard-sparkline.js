/** Units of the drawing. The page stretches it to the available width. */
export const WIDTH = 300;
export const HEIGHT = 48;
/** With fewer values than this the line does not fill the width. */
const VALUES_MIN = 30;

/**
 * The line through `values` and the area below it, as path data. The last value is at the right edge.
 *
 * @param {(number | null)[]} values null is a gap
 * @returns {{line: string, area: string, peak: number}}
 */
export function sparklinePaths(values) {
  const peak = Math.max(0, ...values.map((value) => value ?? 0));
  const top = Math.max(peak, 1);
  const step = WIDTH / (Math.max(values.length, VALUES_MIN) - 1);
  const start = WIDTH - (values.length - 1) * step;
  let line = "";
  let area = "";
  for (const run of runsOf(values)) {
    const points = run.map(([index, value]) => [round(start + index * step), round(HEIGHT - (value / top) * HEIGHT)]);
    const path = points.map(([x, y]) => `${x} ${y}`).join("L");
    line += `M${path}`;
    area += `M${points[0][0]} ${HEIGHT}L${path}L${points[points.length - 1][0]} ${HEIGHT}Z`;
  }
  return { line, area, peak };
}

/**
 * Runs of values without a gap, each value with its index.
 * @param {(number | null)[]} values
 * @returns {[number, number][][]}
 */
function runsOf(values) {
  /** @type {[number, number][][]} */
  const runs = [];
  values.forEach((value, index) => {
    if (value === null) return;
    if (index > 0 && values[index - 1] !== null) runs[runs.length - 1].push([index, value]);
    else runs.push([[index, value]]);
  });
  return runs;
}

/** @param {number} number */
function round(number) {
  return Math.round(number * 100) / 100;
}
