/**
 * The values of the charts over time, oldest first. A sample without values is a gap: nothing is known of that time.
 *
 * @typedef {{timeMs: number, values: Record<string, number> | null}} Sample
 * @typedef {{step_s: number, since: number, until: number, at: number[], values: Record<string, (number | null)[]>}} History
 *   what the server has stored: Unix times, and the values by name at each of them
 */

/** Points that a chart draws at most. */
export const POINTS_MAX = 300;
/** A silence of this many steps is a gap. */
const GAP_STEPS = 2.5;

/** @param {History} history @returns {Sample[]} */
export function samplesOf({ step_s, at, values }) {
  const names = Object.entries(values);
  /** @type {Sample[]} */
  const samples = [];
  at.forEach((atS, index) => {
    const known = names.flatMap(([name, column]) => (column[index] === null ? [] : [[name, column[index]]]));
    appendTo(samples, { timeMs: atS * 1000, values: Object.fromEntries(known) }, step_s * 1000 * GAP_STEPS);
  });
  return samples;
}

/**
 * Adds a sample at the end, after a gap if the last one is older than `gapMs`.
 * @param {Sample[]} samples
 * @param {Sample} sample
 * @param {number} gapMs
 */
export function appendTo(samples, sample, gapMs) {
  const last = samples.at(-1);
  if (last !== undefined && sample.timeMs <= last.timeMs) return;
  if (last !== undefined && last.values !== null && sample.timeMs - last.timeMs > gapMs) samples.push({ timeMs: last.timeMs + 1, values: null });
  samples.push(sample);
}

/**
 * The stored samples, and after them what was pushed since.
 * @param {Sample[]} stored
 * @param {Sample[]} pushed
 * @param {number} gapMs
 * @returns {Sample[]}
 */
export function joined(stored, pushed, gapMs) {
  const samples = [...stored];
  const endMs = stored.at(-1)?.timeMs ?? -Infinity;
  for (const sample of pushed) if (sample.timeMs > endMs) appendTo(samples, sample, gapMs);
  return samples;
}

/**
 * The samples of a time in groups, one for each point. A gap is a group of its own.
 * @param {Sample[]} samples
 * @param {number} sinceMs
 * @param {number} untilMs
 * @returns {Sample[][]}
 */
export function groupsOf(samples, sinceMs, untilMs) {
  const stepMs = (untilMs - sinceMs) / POINTS_MAX;
  /** @type {Sample[][]} */
  const groups = [];
  let last = NaN;
  for (const sample of samples) {
    if (sample.timeMs < sinceMs || sample.timeMs > untilMs) continue;
    // Whole steps since the epoch, so that a point does not change when the range moves on.
    const step = sample.values === null ? NaN : Math.floor(sample.timeMs / stepMs);
    if (step === last) groups[groups.length - 1].push(sample);
    else groups.push([sample]);
    last = step;
  }
  return groups;
}

/** The last time of each group. @param {Sample[][]} groups */
export function timesOf(groups) {
  return groups.map((group) => group[group.length - 1].timeMs);
}

/**
 * The mean of a value in each group; null where it is not known.
 * @param {Sample[][]} groups
 * @param {string} name
 * @param {string} [whole] the sum that the value is a part of: where that is known, a missing part is 0
 * @returns {(number | null)[]}
 */
export function valuesOf(groups, name, whole = name) {
  return groups.map((group) => {
    const known = group.flatMap(({ values }) => (values?.[whole] === undefined ? [] : [values[name] ?? 0]));
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  });
}

/**
 * The means of a value in `count` equal parts of a time; a part without a sample repeats the one before.
 * @param {Sample[]} samples
 * @param {string} name
 * @param {number} sinceMs
 * @param {number} untilMs
 * @param {number} count
 * @returns {(number | null)[]}
 */
export function evenly(samples, name, sinceMs, untilMs, count) {
  /** @type {Sample[][]} */
  const parts = Array.from({ length: count }, () => []);
  for (const sample of samples) {
    const index = Math.ceil(((sample.timeMs - sinceMs) / (untilMs - sinceMs)) * count) - 1;
    if (index >= 0 && index < count) parts[index].push(sample);
  }
  /** @type {number | null} */
  let last = null;
  return parts.map((part) => (last = part.length === 0 ? last : valuesOf([part], name)[0]));
}

/** @param {Sample[]} samples @param {string} prefix @returns {string[]} the names that begin with it, in order */
export function namesWith(samples, prefix) {
  const names = new Set(samples.flatMap(({ values }) => (values === null ? [] : Object.keys(values).filter((name) => name.startsWith(prefix)))));
  return [...names].sort();
}
