import { SegmentedControl } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

export function LanguageSwitch(): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <SegmentedControl
      size="xs"
      aria-label={t("app.language")}
      value={i18n.language}
      data={[
        { value: "ru", label: "RU" },
        { value: "en", label: "EN" },
      ]}
      onChange={(language) => void i18n.changeLanguage(language)}
    />
  );
}
