import type { Mail, MailKind, MailLanguage } from "../domain/mail.ts";

/** Facts that a text may need; which ones, its kind decides. */
export interface MailFacts {
  /** Page of our own origin with the token behind `#`: what stands there is sent to no server and to no referrer. */
  readonly link?: string;
  readonly origin: string;
  readonly facts: Readonly<Record<string, string>>;
}

type Text = (facts: MailFacts) => { readonly subject: string; readonly lines: readonly string[] };
/** `register_known` goes to whoever has an account already when somebody registers the address. */
export type TextKind = MailKind | "register_known" | "email_change_known";

const ru: Readonly<Record<TextKind, Text>> = {
  register: ({ link }) => ({
    subject: "Подтвердите адрес",
    lines: [
      "Чтобы завершить регистрацию, откройте ссылку и введите выбранный пароль. Она действует 24 часа:",
      link ?? "",
      "Если вы не регистрировались, ничего не делайте.",
    ],
  }),
  register_known: ({ origin }) => ({
    subject: "У вас уже есть аккаунт",
    lines: [
      "Кто-то пытался зарегистрироваться с вашим адресом. Аккаунт у вас уже есть, он не изменился.",
      `Вход и сброс пароля: ${origin}/sign-in`,
    ],
  }),
  reset: ({ link }) => ({
    subject: "Сброс пароля",
    lines: [
      "Новый пароль можно задать по ссылке. Она действует 30 минут и один раз:",
      link ?? "",
      "Если вы этого не просили, ничего не делайте: пароль остаётся прежним.",
    ],
  }),
  sign_in_link: ({ link }) => ({
    subject: "Ссылка для входа",
    lines: [
      "Откройте ссылку и введите пароль. Она действует 30 минут и один раз:",
      link ?? "",
      "Если вы этого не просили, ничего не делайте.",
    ],
  }),
  email_change: ({ link }) => ({
    subject: "Подтвердите новый адрес",
    lines: [
      "Чтобы этот адрес стал адресом аккаунта, откройте ссылку. Она действует 24 часа:",
      link ?? "",
      "Если вы этого не просили, ничего не делайте.",
    ],
  }),
  email_change_known: ({ origin }) => ({
    subject: "Адрес уже занят",
    lines: ["Кто-то хотел перенести свой аккаунт на ваш адрес. Ваш аккаунт не изменился.", `Вход: ${origin}/sign-in`],
  }),
  email_change_asked: ({ facts, origin }) => ({
    subject: "Запрошена смена адреса",
    lines: [
      `Для аккаунта запрошен новый адрес: ${facts["to"] ?? ""}. Он вступит в силу, когда его подтвердят.`,
      `Если это не вы, смените пароль: ${origin}/security`,
    ],
  }),
  email_changed: ({ facts }) => ({
    subject: "Адрес изменён",
    lines: [`Адрес аккаунта теперь ${facts["to"] ?? ""}.`, "Если это не вы, напишите в поддержку."],
  }),
  invitation: ({ link }) => ({
    subject: "Приглашение",
    lines: ["Вас приглашают создать аккаунт. Ссылка действует 7 дней:", link ?? ""],
  }),
  password_changed: ({ origin }) => ({
    subject: "Пароль изменён",
    lines: ["Пароль аккаунта изменён, остальные сеансы завершены.", `Если это не вы, сбросьте пароль: ${origin}/reset`],
  }),
  factor_added: ({ facts, origin }) => ({
    subject: "Добавлен второй фактор",
    lines: [
      `К аккаунту добавлено: ${facts["factor"] ?? ""}.`,
      `Если это не вы, проверьте безопасность: ${origin}/security`,
    ],
  }),
  factor_removed: ({ facts, origin }) => ({
    subject: "Удалён второй фактор",
    lines: [`Из аккаунта удалено: ${facts["factor"] ?? ""}.`, `Если это не вы, смените пароль: ${origin}/security`],
  }),
  recovery_code_used: ({ facts, origin }) => ({
    subject: "Использован резервный код",
    lines: [
      `Для входа использован резервный код, осталось: ${facts["left"] ?? ""}.`,
      `Если это не вы, смените пароль: ${origin}/security`,
    ],
  }),
  recovery_codes_renewed: ({ origin }) => ({
    subject: "Новые резервные коды",
    lines: [
      "Созданы новые резервные коды, прежние не действуют.",
      `Если это не вы, смените пароль: ${origin}/security`,
    ],
  }),
  key_reported: ({ facts, origin }) => ({
    subject: "Ключ API отозван: его нашли",
    lines: [
      `Ключ ${facts["prefix"] ?? ""}… прислали нам целиком, значит его знают другие. Он отозван и больше не работает.`,
      ...(facts["foundAt"] === undefined ? [] : [`Где он найден: ${facts["foundAt"]}`]),
      `Создайте новый ключ: ${origin}/keys`,
    ],
  }),
  sign_in_wave: ({ facts }) => ({
    subject: "Много неудачных входов",
    lines: [
      `За ${facts["minutes"] ?? ""} минут не удалось ${facts["failures"] ?? ""} попыток входа по всем аккаунтам: похоже на подбор паролей.`,
      "Каждый аккаунт и каждая сеть уже замедлены. Проверьте журналы и графики на входе в систему.",
    ],
  }),
  blocked: ({ facts }) => ({
    subject: "Аккаунт заблокирован",
    lines: [`Аккаунт заблокирован. Причина: ${facts["reason"] ?? ""}`, "Напишите в поддержку, если не согласны."],
  }),
  unblocked: ({ origin }) => ({
    subject: "Аккаунт разблокирован",
    lines: ["Аккаунт снова можно использовать.", `Вход: ${origin}/sign-in`],
  }),
};

const en: Readonly<Record<TextKind, Text>> = {
  register: ({ link }) => ({
    subject: "Confirm your address",
    lines: [
      "To finish your registration, open the link and enter the password you chose. It works for 24 hours:",
      link ?? "",
      "If you did not register, do nothing.",
    ],
  }),
  register_known: ({ origin }) => ({
    subject: "You have an account already",
    lines: [
      "Somebody tried to register with your address. You have an account already; it is unchanged.",
      `To sign in or reset the password: ${origin}/sign-in`,
    ],
  }),
  reset: ({ link }) => ({
    subject: "Reset your password",
    lines: [
      "Choose a new password by this link. It works for 30 minutes, once:",
      link ?? "",
      "If you did not ask for it, do nothing: the password stays as it is.",
    ],
  }),
  sign_in_link: ({ link }) => ({
    subject: "Your sign-in link",
    lines: [
      "Open the link and enter your password. It works for 30 minutes, once:",
      link ?? "",
      "If you did not ask for it, do nothing.",
    ],
  }),
  email_change: ({ link }) => ({
    subject: "Confirm your new address",
    lines: [
      "To make this the address of your account, open the link. It works for 24 hours:",
      link ?? "",
      "If you did not ask for it, do nothing.",
    ],
  }),
  email_change_known: ({ origin }) => ({
    subject: "The address is in use",
    lines: [
      "Somebody wanted to move an account to your address. Your account is unchanged.",
      `To sign in: ${origin}/sign-in`,
    ],
  }),
  email_change_asked: ({ facts, origin }) => ({
    subject: "A change of address was asked for",
    lines: [
      `A new address was asked for: ${facts["to"] ?? ""}. It takes effect once it is confirmed.`,
      `If this was not you, change the password: ${origin}/security`,
    ],
  }),
  email_changed: ({ facts }) => ({
    subject: "Your address was changed",
    lines: [`The address of the account is ${facts["to"] ?? ""} now.`, "If this was not you, write to support."],
  }),
  invitation: ({ link }) => ({
    subject: "An invitation",
    lines: ["You are invited to make an account. The link works for 7 days:", link ?? ""],
  }),
  password_changed: ({ origin }) => ({
    subject: "Your password was changed",
    lines: [
      "The password of the account was changed, the other sessions have ended.",
      `If this was not you, reset the password: ${origin}/reset`,
    ],
  }),
  factor_added: ({ facts, origin }) => ({
    subject: "A second factor was added",
    lines: [`Added to the account: ${facts["factor"] ?? ""}.`, `If this was not you, look at: ${origin}/security`],
  }),
  factor_removed: ({ facts, origin }) => ({
    subject: "A second factor was removed",
    lines: [
      `Removed from the account: ${facts["factor"] ?? ""}.`,
      `If this was not you, change the password: ${origin}/security`,
    ],
  }),
  recovery_code_used: ({ facts, origin }) => ({
    subject: "A recovery code was used",
    lines: [
      `A recovery code was used to sign in; ${facts["left"] ?? ""} are left.`,
      `If this was not you, change the password: ${origin}/security`,
    ],
  }),
  recovery_codes_renewed: ({ origin }) => ({
    subject: "New recovery codes",
    lines: [
      "New recovery codes were made; the old ones do not work any more.",
      `If this was not you, change the password: ${origin}/security`,
    ],
  }),
  key_reported: ({ facts, origin }) => ({
    subject: "An API key was found and is revoked",
    lines: [
      `Somebody sent us the whole of your key ${facts["prefix"] ?? ""}…, so others know it. It is revoked and works no more.`,
      ...(facts["foundAt"] === undefined ? [] : [`Where it was found: ${facts["foundAt"]}`]),
      `Make a new key: ${origin}/keys`,
    ],
  }),
  sign_in_wave: ({ facts }) => ({
    subject: "Many sign-ins fail",
    lines: [
      `In ${facts["minutes"] ?? ""} minutes ${facts["failures"] ?? ""} sign-ins failed over all accounts: somebody is guessing passwords.`,
      "Each account and each network is slowed down already. Look at the edge's logs and graphs.",
    ],
  }),
  blocked: ({ facts }) => ({
    subject: "Your account is blocked",
    lines: [`The account is blocked. Reason: ${facts["reason"] ?? ""}`, "Write to support if you disagree."],
  }),
  unblocked: ({ origin }) => ({
    subject: "Your account works again",
    lines: ["The account can be used again.", `To sign in: ${origin}/sign-in`],
  }),
};

/** Plain text: nothing in it can be a script, a picture that phones home, or a link that shows another address. */
export function writeMail(to: string, kind: TextKind, language: MailLanguage, facts: MailFacts): Mail {
  const { subject, lines } = (language === "ru" ? ru : en)[kind](facts);
  return { to, subject: `Codex API: ${subject}`, text: `${lines.join("\n\n")}\n` };
}
