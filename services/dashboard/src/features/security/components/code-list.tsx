import { Code, Group, List, Stack, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Copy } from "../../../shared/copy.tsx";

/** Shown once: they are in no answer that comes later. */
export function CodeList({ codes }: { readonly codes: readonly string[] }): ReactNode {
  const { t } = useTranslation();
  return (
    <Stack gap="xs">
      <Text>{t("security.codesOnce")}</Text>
      <List data-testid="recovery-codes" listStyleType="none">
        {codes.map((code) => (
          <List.Item key={code}>
            <Code>{code}</Code>
          </List.Item>
        ))}
      </List>
      <Group>
        <Copy value={codes.join("\n")} />
      </Group>
    </Stack>
  );
}
