/**
 * The last figures of the page, oldest first. A pause in them leaves a gap (null) rather than a straight line.
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
   * @param {number} gapMs a longer silence than this is a gap
   */
  push(timeMs, values, gapMs) {
    const last = this.samples.at(-1);
    if (last !== undefined && timeMs - last.timeMs > gapMs) this.samples.push({ timeMs, values: null });
    this.samples.push({ timeMs, values });
    if (this.samples.length > this.size) this.samples.splice(0, this.samples.length - this.size);
  }

  /**
   * @param {string} name
   * @returns {(number | null)[]}
   */
  of(name) {
    return this.samples.map(({ values }) => values?.[name] ?? null);
  }
}
