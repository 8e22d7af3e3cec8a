/**
 * The last metrics of the page, oldest first. A pause leaves a gap (null) instead of a straight line.
 *
 * @typedef {{timeMs: number, values: Record<string, number> | null}} Sample
 */
export class Series {
  /** @type {Sample[]} */
  samples = [];

  /** @param {number} size samples kept */
  constructor(size) {
    this.size = size;
  }

  /**
   * @param {number} timeMs
   * @param {Record<string, number>} values
   * @param {number} gapMs a longer time than this without a sample is a gap
   */
  push(timeMs, values, gapMs) {
    const last = this.samples.at(-1);
    if (last !== undefined && timeMs - last.timeMs > gapMs) this.samples.push({ timeMs, values: null });
    this.samples.push({ timeMs, values });
    if (this.samples.length > this.size) this.samples.splice(0, this.samples.length - this.size);
  }

  /**
   * @param {string} name
   * @param {number} last how many of the newest
   * @returns {(number | null)[]}
   */
  of(name, last) {
    return this.samples.slice(-last).map(({ values }) => values?.[name] ?? null);
  }
}
