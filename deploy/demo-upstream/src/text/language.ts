export type Language = "ru" | "en";

/** Russian when Cyrillic letters outnumber Latin ones in the text's first 2,000 characters, else English. */
export function languageOf(text: string): Language {
  let cyrillic = 0;
  let latin = 0;
  for (const letter of text.slice(0, 2_000)) {
    if (/\p{Script=Cyrillic}/u.test(letter)) cyrillic += 1;
    else if (/\p{Script=Latin}/u.test(letter)) latin += 1;
  }
  return cyrillic > latin ? "ru" : "en";
}
