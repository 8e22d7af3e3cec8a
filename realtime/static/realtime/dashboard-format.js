const COUNT = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat(undefined, { notation: "compact", maximumSignificantDigits: 3 });
const RATE = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const SHORT_FROM = 1_000_000;
const RATE_WHOLE_FROM = 100;
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** @param {number} number */
export function count(number) {
  return number < SHORT_FROM ? COUNT.format(number) : SHORT.format(number);
}

/** @param {number} perS shown with one decimal if it is small */
export function rate(perS) {
  if (perS === 0) return "0";
  return perS < RATE_WHOLE_FROM ? RATE.format(perS) : count(perS);
}

/** @param {number} number */
export function bytes(number) {
  const unit = number < 1 ? 0 : Math.min(Math.floor(Math.log2(number) / 10), BYTE_UNITS.length - 1);
  const value = number / 1024 ** unit;
  return `${unit === 0 || value >= RATE_WHOLE_FROM ? COUNT.format(value) : RATE.format(value)} ${BYTE_UNITS[unit]}`;
}

/** @param {number} part from 0 on */
export function percent(part) {
  return `${part > 0 && part < 0.1 ? (part * 100).toFixed(1) : COUNT.format(part * 100)} %`;
}

/** @param {number} ms */
export function milliseconds(ms) {
  return `${ms < 10 ? ms.toFixed(1) : COUNT.format(ms)} ms`;
}

/** @param {number} seconds the two largest units */
export function duration(seconds) {
  const whole = Math.max(Math.floor(seconds), 0);
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([number]) => number !== 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([number]) => number !== 0)
    .map(([number, unit]) => `${number} ${unit}`)
    .join(" ");
}
