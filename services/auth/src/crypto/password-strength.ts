import { ZxcvbnFactory } from "@zxcvbn-ts/core";
import { adjacencyGraphs, dictionary } from "@zxcvbn-ts/language-common";
import { isListed } from "./known-passwords.ts";

/**
 * How many guesses an attacker needs who knows lists of common passwords, keyboards, dates, and words about this account
 * (SEC-12). zxcvbn-ts 4.2 (MIT, 2026) with its list of 49,000 passwords: nothing is asked on a network. Takes up to 0.3 s
 * for a hostile 256 characters, so it runs in the hashing threads.
 */

/** Words that everybody who attacks this service tries, and the Russian ones that the list lacks. */
const contextWords = [
  ...["codex", "codexapi", "codex api", "gateway", "openai", "chatgpt", "anthropic", "claude", "token", "telegram"],
  ...["пароль", "привет", "любовь", "наташа", "максим", "андрей", "марина", "солнышко", "москва", "россия", "спартак"],
  ...[
    "йцукен",
    "йцукенг",
    "йцукенгшщзхъ",
    "фывапролджэ",
    "ячсмитьбю",
    "админ",
    "кодекс",
    "люблютебя",
    "секрет",
    "дракон",
  ],
];

const cyrillicKeys = "ёйцукенгшщзхъфывапролджэячсмитьбюЁЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮ";
const latinKeys = "`qwertyuiop[]asdfghjkl;'zxcvbnm,.~QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>";

/** What the same keys give on the other layout: "зфыыцщкв" is "password", and "gfhjkm" is "пароль". */
function typedOn(text: string, from: string, to: string): string {
  return Array.from(text, (letter) => {
    const at = from.indexOf(letter);
    return at < 0 ? letter : (to[at] ?? letter);
  }).join("");
}

const judge = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs, maxLength: 256 });

/** log10 of the guesses: "password1234" is 4, three words of a dice list are 12 and more; 0 for what is on the list. */
export function strengthOf(password: string, words: readonly string[]): number {
  const known = [...words, ...contextWords];
  const spellings = [
    ...new Set([
      password,
      typedOn(password, cyrillicKeys, latinKeys),
      // Russian words typed with Latin letters; what is no such word becomes letters that mean nothing, and is judged by itself above.
      typedOn(password, latinKeys, cyrillicKeys),
    ]),
  ];
  if (spellings.some(isListed)) return 0;
  return Math.min(...spellings.map((spelling) => judge.check(spelling, known).guessesLog10));
}
