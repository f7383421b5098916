import { Alert, Button, Code, Group, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ApiError } from "./api-client.ts";

/** Sentence, request id, and a way on. The sentence follows the code; a code without one of its own gets the general one. */
export function ErrorBlock({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }): ReactNode {
  const { t, i18n } = useTranslation();
  const code = error instanceof ApiError ? error.code : "unknown";
  const requestId = error instanceof ApiError ? error.requestId : undefined;
  const key = `error.code.${code}`;
  return (
    <Alert color="red" variant="light" role="alert" title={t("error.title")}>
      <Text size="sm">{i18n.exists(key) ? t(key) : t("error.code.unknown")}</Text>
      <Group gap="sm" mt="xs">
        {requestId !== undefined && <Code className="wrap">{requestId}</Code>}
        {onRetry && (
          <Button size="xs" variant="default" onClick={onRetry}>
            {t("error.retry")}
          </Button>
        )}
      </Group>
    </Alert>
  );
}
