/** `1134559232` → `1,134,559,232`, as PEFT prints it. */
export function formatCount(value: number): string {
  // Not `toLocaleString`, whose first call loads the tables of every language: 50 ms.
  return value.toFixed(0).replace(/\B(?=(?:\d{3})+$)/g, ",");
}

/** Bytes in binary units: `2772434944` → `2.58 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(2)} ${units[unit]}`;
}

/** A learning rate: `0.000588235` → `5.88e-4`, `0.001` → `1e-3`. */
export function formatRate(rate: number): string {
  return rate === 0 ? "0" : rate.toExponential(2).replace(/\.?0+e/, "e");
}

/** A metric by the name that tables have for it: `exactMatch` → `exact match`. */
export function formatMetric(metric: string): string {
  return metric === "exactMatch" ? "exact match" : metric === "f1" ? "F1" : metric;
}

/** A metric's value: shares in percent, `0.5` → `50.0 %`, the rest in six digits, which tell two losses apart. */
export function formatMetricValue(metric: string, value: number): string {
  if (metric !== "exactMatch" && metric !== "f1") return value.toPrecision(6);
  return `${(100 * value).toFixed(4).replace(/0{1,3}$/, "")} %`;
}

/** Seconds for people: `75` → `1m 15s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}s`;
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours}h ${minutes}m` : `${minutes}m ${whole % 60}s`;
}
