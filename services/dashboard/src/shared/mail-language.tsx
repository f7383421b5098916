import type { Language } from "@codex/contracts";
import { NativeSelect } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

interface Props {
  readonly value: Language;
  readonly onChange: (language: Language) => void;
}

/** In which language mails are written. Each is named in itself, for whoever does not read the other. */
export function MailLanguage({ value, onChange }: Props): ReactNode {
  const { t } = useTranslation();
  return (
    <NativeSelect
      label={t("account.mailLanguage")}
      value={value}
      data={[
        { value: "ru", label: "Русский" },
        { value: "en", label: "English" },
      ]}
      onChange={(event) => onChange(event.currentTarget.value === "en" ? "en" : "ru")}
    />
  );
}
