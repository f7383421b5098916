import { Title } from "@mantine/core";
import { useEffect, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

/** The heading of a page, which names the browser's tab as well. */
export function PageTitle({ text }: { readonly text: string }): ReactNode {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = t("app.pageTitle", { page: text });
  }, [t, text]);
  return (
    <Title order={1} size="h2">
      {text}
    </Title>
  );
}
