import i18next, { type i18n } from "i18next";
import { initReactI18next } from "react-i18next";
import { en } from "./texts-en.ts";
import { ru } from "./texts-ru.ts";

export type Language = "ru" | "en";
const storageKey = "codex.language";

/** Russian first (168-FZ); the reader's choice is kept in the browser only. */
export function savedLanguage(): Language {
  return localStorage.getItem(storageKey) === "en" ? "en" : "ru";
}

/** Also after sign-out, whose answer tells the browser to forget everything it stores for this site. */
export function saveLanguage(): void {
  localStorage.setItem(storageKey, i18next.language);
}

export async function startI18n(): Promise<i18n> {
  await i18next.use(initReactI18next).init({
    lng: savedLanguage(),
    fallbackLng: "ru",
    resources: { ru: { translation: ru }, en: { translation: en } },
    interpolation: { escapeValue: false },
  });
  document.documentElement.lang = i18next.language;
  i18next.on("languageChanged", (language) => {
    saveLanguage();
    document.documentElement.lang = language;
  });
  return i18next;
}
