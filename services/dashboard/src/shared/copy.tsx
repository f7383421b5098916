import { Button, CopyButton, type ButtonProps } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

/** Copies the text and says so for a second. */
export function Copy({ value, ...button }: ButtonProps & { readonly value: string }): ReactNode {
  const { t } = useTranslation();
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <Button variant="default" onClick={copy} {...button}>
          <span aria-live="polite">{copied ? t("app.copied") : t("app.copy")}</span>
        </Button>
      )}
    </CopyButton>
  );
}
