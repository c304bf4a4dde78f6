import { HeirloomError } from "../core/index.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const two = (value: number): string => String(value).padStart(2, "0");

/** Python's `strftime` codes in the C locale; the library's own names months in the machine's language. */
const TIME_CODES: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getFullYear()),
  y: (date) => two(date.getFullYear() % 100),
  m: (date) => two(date.getMonth() + 1),
  d: (date) => two(date.getDate()),
  H: (date) => two(date.getHours()),
  I: (date) => two(date.getHours() % 12 || 12),
  M: (date) => two(date.getMinutes()),
  S: (date) => two(date.getSeconds()),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  A: (date) => DAYS[date.getDay()] ?? "",
  a: (date) => (DAYS[date.getDay()] ?? "").slice(0, 3),
  B: (date) => MONTHS[date.getMonth()] ?? "",
  b: (date) => (MONTHS[date.getMonth()] ?? "").slice(0, 3),
  "%": () => "%",
};

/**
 * A date as Python's `strftime` writes it in the C locale.
 *
 * @throws CHAT_TEMPLATE_INVALID for a code that is not in the table, rather than passing it through
 */
export function formatTime(date: Date, format: string): string {
  return format.replace(/%(.?)/gs, (code, letter: string) => {
    const write = Object.hasOwn(TIME_CODES, letter) ? TIME_CODES[letter] : undefined;
    if (write === undefined)
      throw new HeirloomError("CHAT_TEMPLATE_INVALID", `strftime_now: the code ${JSON.stringify(code)} is not supported`);
    return write(date);
  });
}
