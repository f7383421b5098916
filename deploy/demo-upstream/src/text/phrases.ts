import type { Persona } from "../models.ts";
import type { Language } from "./language.ts";

/** What the demo says. Every answer opens by saying that it is a demo. */

interface Phrases {
  readonly hello: string;
  readonly quote: (text: string) => string;
  readonly nothing: string;
  readonly toolSaid: (text: string) => string;
  readonly counted: string;
  readonly more: readonly string[];
  readonly variant: (number: number) => string;
  readonly refusal: string;
  readonly thinking: readonly string[];
}

const russian: Phrases = {
  hello: "Привет! Я демо-модель: отвечаю без внешних ключей.",
  quote: (text) => `Вы написали: «${text}».`,
  nothing: "Ваше сообщение пустое.",
  toolSaid: (text) => `Инструмент ответил: «${text}».`,
  counted: "Этот текст составлен из вашего запроса, и число токенов тоже считается по нему.",
  more: [
    "Запрос прошёл весь настоящий путь: проверку ключа, резерв на балансе, пересылку по HTTP, поток ответа и списание.",
    "Разница только в том, что на другом конце отвечает небольшая программа, а не нейросеть.",
    "Поэтому ответы одинаковы при одинаковых запросах: так удобно проверять цены, лимиты и учёт.",
    "Чтобы получить содержательный ответ, подключите настоящего провайдера и выберите его модель.",
  ],
  variant: (number) => `Вариант ${number}.`,
  refusal: "Я демо-модель и по сценарию отказываюсь отвечать на этот запрос.",
  thinking: [
    "Пользователь обратился к демо-модели.",
    "Настоящих рассуждений здесь нет, но токены рассуждений считаются как настоящие.",
    "Отвечу коротко и скажу прямо, что это демо.",
  ],
};

const english: Phrases = {
  hello: "Hello! I am a demo model: I answer without any external keys.",
  quote: (text) => `You wrote: “${text}”.`,
  nothing: "Your message is empty.",
  toolSaid: (text) => `The tool answered: “${text}”.`,
  counted: "This text is made from your request, and so is its number of tokens.",
  more: [
    "The request took the whole real path: the key check, the hold on the balance, HTTP, the streamed answer and the charge.",
    "The only difference is that a small program answers at the other end, not a neural network.",
    "So equal requests get equal answers, which makes prices, limits and accounting easy to check.",
    "For an answer with substance, connect a real provider and choose one of its models.",
  ],
  variant: (number) => `Variant ${number}.`,
  refusal: "I am a demo model, and by script I decline to answer this request.",
  thinking: [
    "The user has turned to a demo model.",
    "There is no real reasoning here, but reasoning tokens are counted like real ones.",
    "I will answer briefly and say plainly that this is a demo.",
  ],
};

const phrasesOf = (language: Language): Phrases => (language === "ru" ? russian : english);

const quoteCharactersMax = 160;

/** The text on one line, at most 160 code points. */
export function excerpt(text: string): string {
  const line = text
    .slice(0, quoteCharactersMax * 8)
    .replaceAll(/\s+/gu, " ")
    .trim();
  const characters = Array.from(line);
  if (characters.length <= quoteCharactersMax) return line;
  return `${characters.slice(0, quoteCharactersMax).join("")}…`;
}

export interface AnswerSubject {
  readonly language: Language;
  readonly userText: string;
  /** The result of a tool, when the conversation ends with one. */
  readonly toolResult: string | undefined;
}

/** The whole answer of a persona; choice 0 is the plain one, later ones are told apart by a closing word. */
export function answerText(persona: Persona, subject: AnswerSubject, choice: number): string {
  const phrases = phrasesOf(subject.language);
  const quoted = excerpt(subject.userText);
  const about = quoted === "" ? phrases.nothing : phrases.quote(quoted);
  const parts = [
    phrases.hello,
    subject.toolResult === undefined ? about : phrases.toolSaid(excerpt(subject.toolResult)),
  ];
  parts.push(phrases.counted);
  if (persona === "large") parts.push(...phrases.more);
  if (choice > 0) parts.push(phrases.variant(choice + 1));
  return parts.join(" ");
}

/** Text of any length in the language: sentences of the demo, over and over. */
export function fillerText(language: Language, bytesMin: number): string {
  const phrases = phrasesOf(language);
  const unit = `${[phrases.hello, phrases.counted, ...phrases.more].join(" ")} `;
  return unit.repeat(Math.ceil(bytesMin / Buffer.byteLength(unit)));
}

export function refusalText(language: Language): string {
  return phrasesOf(language).refusal;
}

/** `rounds` times the demo's train of thought; empty for 0. */
export function thinkingText(language: Language, rounds: number): string {
  return Array.from({ length: rounds }, () => phrasesOf(language).thinking.join(" ")).join(" ");
}
