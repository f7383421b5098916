import { dictionary } from "@zxcvbn-ts/language-common";
import { describe, expect, test } from "@jest/globals";
import { randomInt } from "node:crypto";
import { wordsAbout } from "../domain/account.ts";
import { listedCharactersMin, listedPasswords } from "./known-passwords.ts";
import { strengthOf } from "./password-strength.ts";

/** What app/password-rules.ts asks for. */
const strengthMin = 8;
const words = wordsAbout("anna.smith@example.org", "Anna Smith");
/** The keys of each letter, with the Russian layout switched on. */
const inCyrillic = (text: string): string =>
  Array.from(text, (letter) => {
    const at = "qwertyuiop[]asdfghjkl;'zxcvbnm,.".indexOf(letter);
    return at < 0 ? letter : ("йцукенгшщзхъфывапролджэячсмитьбю"[at] ?? letter);
  }).join("");
const strong = (password: string): boolean => strengthOf(password, words) >= strengthMin;

describe("known-bad passwords (SEC-12)", () => {
  const list = dictionary["passwords-common"];
  const long = list.filter((password) => password.length >= 12);
  const common = list.slice(0, 40);
  const made = [
    ...common.flatMap((word) => [`${word}${word}`, `${word}123456`, `${word}2026!`]),
    ...["зфыыцщкв1234", "зфыыцщквзфыыцщкв", "йцукенгшщзхъ", "парольпароль", "пароль123456", "gfhjkmgfhjkm"],
    ...["anna.smith2026", "annasmith1234", "codexapi1234", "smithsmith2026", "AnnaSmith!2026"],
    ...["qwertyuiop12345", "iloveyou12345678", "P@ssw0rd12345", "1q2w3e4r5t6y", "aaaaaaaaaaaaaaa", "abcdefghijklmno"],
  ];

  test("given the list's own of twelve letters and more, when they are judged, then none is strong", () => {
    expect(long.length).toBeGreaterThan(200);
    expect(long.filter(strong)).toEqual([]);
  });

  test("given the list, when it is counted, then it has thousands of the policy's length, and every one is refused, in capitals and on the other layout too", () => {
    expect(listedPasswords.size).toBeGreaterThan(3_000);
    expect([...listedPasswords].filter((password) => Array.from(password).length < listedCharactersMin)).toEqual([]);
    const sample = [...listedPasswords].filter((_password, index) => index % 97 === 0);
    expect(sample.length).toBeGreaterThan(200);
    const spellings = sample.flatMap((password) => [
      password,
      password.toUpperCase(),
      `${password.slice(0, 1).toUpperCase()}${password.slice(1)}`,
      inCyrillic(password),
    ]);
    expect(spellings.filter(strong)).toEqual([]);
  }, 60_000);

  test("given doubled, numbered, dated ones, keyboard walks, the other layout and words about the account, when they are judged, then none is strong", () => {
    expect(made.length).toBeGreaterThan(120);
    expect(made.filter(strong)).toEqual([]);
  });
});

describe("good passwords", () => {
  test("given a thousand passphrases of four words of a dice list, when they are judged, then all are strong", () => {
    const dice = dictionary["diceware-common"];
    const phrase = (): string => Array.from({ length: 4 }, () => dice[randomInt(dice.length)] ?? "").join(" ");
    const phrases = Array.from({ length: 1_000 }, phrase);
    expect(phrases.filter((text) => !strong(text))).toEqual([]);
  }, 60_000);

  test.each([
    "correct horse battery staple",
    "кот сел на высокую ель",
    "мама мыла раму вчера",
    "x7#qL2vv9Rk!",
    "雨の日は家で本を読みます",
  ])("given %s, when it is judged, then it is strong", (password) => {
    expect(strong(password)).toBe(true);
  });

  test("given a hostile 256 characters, when they are judged, then it ends", () => {
    expect(typeof strong("p@$$w0rd1!|".repeat(24).slice(0, 256))).toBe("boolean");
  });
});
