/**
 * Returns an instant, to the millisecond, as PostgreSQL reads it in any text: it knows no year 0 (that is 1 BC), and years
 * from 10000 on have no sign.
 */
export function instantText(at: Date): string {
  const text = at.toISOString();
  const year = Number.parseInt(text, 10);
  if (year > 0 && year < 10_000) return text;
  const rest = text.replace(/^[+-]?\d+/, "");
  return year > 0 ? `${year}${rest}` : `${String(1 - year).padStart(4, "0")}${rest} BC`;
}
