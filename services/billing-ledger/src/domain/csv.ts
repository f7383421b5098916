/**
 * CSV by RFC 4180: comma, CRLF, text always in quotes with quotes doubled; UTF-8 with a byte order mark, without which Excel
 * reads Cyrillic as the local code page.
 *
 * Formula injection (OWASP "CSV Injection", read 2026-11): a spreadsheet runs a cell that begins with = + - @, a tab, a line
 * break, or a full-width form of the four signs. The rule here: a **text** cell that begins so gets an apostrophe in front. A
 * **number** cell is exactly `-?digits[.digits]`, is made by us alone, is written without quotes and never changed: so
 * `-12.500000` stays a number, and a text `-12` becomes `'-12`.
 */

export type CsvCell = { readonly text: string | null } | { readonly number: string | number | null };

export const byteOrderMark = "\ufeff";

const dangerousStart = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const plainNumber = /^-?\d+(\.\d+)?$/;

/** One line with its CRLF. A null cell is empty. Throws on a number cell that is no plain number: a defect of the caller. */
export function csvRow(cells: readonly CsvCell[]): string {
  return `${cells.map(csvCell).join(",")}\r\n`;
}

export function csvHeader(names: readonly string[]): string {
  return csvRow(names.map((text) => ({ text })));
}

function csvCell(cell: CsvCell): string {
  if ("number" in cell) {
    if (cell.number === null) return "";
    const text = String(cell.number);
    if (!plainNumber.test(text)) throw new Error("a number cell holds something else");
    return text;
  }
  if (cell.text === null) return "";
  const safe = dangerousStart.test(cell.text) ? `'${cell.text}` : cell.text;
  return `"${safe.replaceAll('"', '""')}"`;
}
