import { dictionary } from "@zxcvbn-ts/language-common";

/**
 * The list of SEC-12: known-bad passwords of twelve characters and more, offline. Real lists hold few of that length, because most people
 * who must use twelve characters lengthen a short one; attackers do the same. So the list is made of one, by these rules:
 *
 *   source     the passwords of `@zxcvbn-ts/language-common` 4.1 (MIT), by how common they are: 49,000, of which some 300 are that long
 *   as it is   every one of twelve characters and more
 *   doubled    the 2,000 commonest twice and three times ("dragondragon")
 *   lengthened the 2,000 commonest with each ending of `endings` ("football2026", "sunshine123!")
 *   joined     the 60 commonest words, each with each ("loveprincess")
 *
 * Compared in small letters, so capitals do not help; whoever asks also asks with the letters of the other keyboard layout.
 */

/** The shortest that the policy can be set to. */
export const listedCharactersMin = 12;

const lengthened = 2_000;
const joined = 60;
const endings = [
  ...["123", "1234", "12345", "123456", "1234567", "12345678", "123456789", "1234567890"],
  ...["321", "111", "1111", "000", "0000", "007", "777", "666"],
  ...["!", "!!", "!!!", "123!", "1234!", "@123", "#1", "_123", ".123"],
  ...["2020", "2021", "2022", "2023", "2024", "2025", "2026", "2027", "2025!", "2026!", "1990", "2000"],
  ...["qwerty", "qwe", "asd", "abc", "abc123", "password"],
];

function makeList(): ReadonlySet<string> {
  const source = dictionary["passwords-common"];
  const common = source.slice(0, lengthened);
  const words = source.filter((entry) => /^[a-z]{4,}$/.test(entry)).slice(0, joined);
  const made = [
    ...source,
    ...common.flatMap((word) => [word + word, word + word + word, ...endings.map((ending) => word + ending)]),
    ...words.flatMap((first) => words.map((second) => first + second)),
  ];
  return new Set(made.map((entry) => entry.toLowerCase()).filter((entry) => entry.length >= listedCharactersMin));
}

export const listedPasswords = makeList();

export function isListed(password: string): boolean {
  return listedPasswords.has(password.toLowerCase());
}
