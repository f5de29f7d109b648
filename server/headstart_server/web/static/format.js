// Numbers, durations, sizes and times as people read them. Everything takes what protobuf's JSON holds: numbers, int64 as
// strings, "NaN", "Infinity", or nothing for zero.

/** A number of protobuf's JSON. */
export function number(value) {
  return value === undefined || value === null || value === "" ? 0 : Number(value);
}

const GROUPED = new Intl.NumberFormat("en");

/** A count: `12,345`. */
export function count(value) {
  return GROUPED.format(Math.round(number(value)));
}

/** `1 row`, `2 rows`. */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${number(value) === 1 ? one : many}`;
}

/** A measured value with four significant digits: `0.9312`, `1.2e-7`. */
export function measure(value) {
  const given = number(value);
  if (!Number.isFinite(given)) return Number.isNaN(given) ? "not a number" : given > 0 ? "infinite" : "minus infinite";
  const size = Math.abs(given);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return given.toExponential(2);
  if (size >= 1000) return GROUPED.format(Number(given.toPrecision(5)));
  return String(Number(given.toPrecision(4)));
}

/** A part of 1: `93.1 %`. */
export function percent(value, digits = 1) {
  return `${(number(value) * 100).toFixed(digits)} %`;
}

/** Seconds: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(value) {
  const seconds = number(value);
  if (!Number.isFinite(seconds) || seconds < 0) return "unknown";
  if (seconds < 1) return seconds === 0 ? "0 s" : `${seconds < 0.095 ? "< 0.1" : seconds.toFixed(1)} s`;
  if (seconds < 10) return `${seconds.toFixed(1).replace(".0", "")} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  const [size, unit] = parts[first];
  const [smaller, smallUnit] = parts[first + 1];
  const rest = Math.floor((whole % size) / smaller);
  return `${Math.floor(whole / size)} ${unit}${rest ? ` ${rest} ${smallUnit}` : ""}`;
}

/** Bytes: `1.2 GB`. */
export function bytes(value) {
  let size = number(value);
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (size < 1000) return `${unit === "B" ? size : size.toPrecision(3)} ${unit}`;
    size /= 1000;
  }
  return `${size.toPrecision(3)} TB`;
}

/** Milliseconds since 1970 of an RFC 3339 time; NaN for none. */
export function moment(text) {
  return text ? Date.parse(text) : Number.NaN;
}

/** `just now`, `3 min ago`, or the date when it is more than a day ago. */
export function ago(text, now = Date.now()) {
  const seconds = (now - moment(text)) / 1000;
  if (Number.isNaN(seconds)) return "unknown";
  if (seconds < 5) return "just now";
  if (seconds < 86400) return `${duration(Math.floor(seconds)).replace(/^(\d+ (min|h)) .*/, "$1")} ago`;
  return new Date(text).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

/** Date and time in the reader's zone. */
export function fullTime(text) {
  return text ? new Date(text).toLocaleString() : "unknown";
}

/** `abc` of `trainJobs/abc`. */
export function idOf(name) {
  return name.slice(name.indexOf("/") + 1);
}

/** `batch_size` of `batchSize`. */
export function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** At most so many characters. */
export function shortened(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
