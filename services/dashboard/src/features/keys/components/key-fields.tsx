import { NativeSelect, SimpleGrid, Stack, Text, Textarea, TextInput } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { KeyField, KeyForm } from "../key-form.ts";

interface Props {
  readonly form: KeyForm;
  readonly onChange: (form: KeyForm) => void;
  /** Fields that make no sense, each with a sentence below it. */
  readonly faults: ReadonlySet<KeyField>;
  /** The environment is part of the key itself: it is chosen when the key is made and not changed. */
  readonly withEnvironment: boolean;
}

/** Everything about a key but its name. */
export function KeyFields({ form, onChange, faults, withEnvironment }: Props): ReactNode {
  const { t } = useTranslation();
  const field = (name: KeyField, fault: string) => ({
    value: form[name],
    error: faults.has(name) ? fault : undefined,
    autoComplete: "off",
    onChange: (event: { currentTarget: { value: string } }) => onChange({ ...form, [name]: event.currentTarget.value }),
  });
  const numeric = (name: KeyField) => ({ ...field(name, t("keys.faultCount")), inputMode: "numeric" as const });
  const money = (name: KeyField) => ({ ...field(name, t("keys.faultAmount")), inputMode: "decimal" as const });
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        {withEnvironment && (
          <NativeSelect
            label={t("keys.environment")}
            description={t("keys.environmentHint")}
            value={form.environment}
            data={[
              { value: "live", label: t("keys.live") },
              { value: "test", label: t("keys.test") },
            ]}
            onChange={(event) =>
              onChange({ ...form, environment: event.currentTarget.value === "test" ? "test" : "live" })
            }
          />
        )}
        <TextInput label={t("keys.tags")} description={t("keys.tagsHint")} {...field("tags", t("keys.faultTags"))} />
        <TextInput
          type="datetime-local"
          label={t("keys.expiresAt")}
          description={t("keys.expiresAtHint")}
          {...field("expiresAt", t("keys.faultExpiry"))}
        />
      </SimpleGrid>
      <FieldGroup title={t("keys.caps")}>
        <TextInput label={t("keys.daily")} {...money("daily")} />
        <TextInput label={t("keys.monthly")} {...money("monthly")} />
        <TextInput label={t("keys.total")} {...money("total")} />
      </FieldGroup>
      <FieldGroup title={t("keys.limits")}>
        <TextInput label={t("keys.requestsPerMinute")} {...numeric("requestsPerMinute")} />
        <TextInput label={t("keys.tokensPerMinute")} {...numeric("tokensPerMinute")} />
        <TextInput label={t("keys.concurrentRequests")} {...numeric("concurrentRequests")} />
      </FieldGroup>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <Textarea
          label={t("keys.models")}
          description={t("keys.modelsHint")}
          autosize
          minRows={2}
          maxRows={8}
          {...field("models", t("keys.faultModels"))}
        />
        <Textarea
          label={t("keys.allowedIps")}
          description={t("keys.allowedIpsHint")}
          autosize
          minRows={2}
          maxRows={8}
          {...field("allowedIps", t("keys.faultIps"))}
        />
      </SimpleGrid>
    </Stack>
  );
}

function FieldGroup({ title, children }: { readonly title: string; readonly children: ReactNode }): ReactNode {
  return (
    <Stack gap={4} role="group" aria-label={title}>
      <Text size="sm" fw={700} aria-hidden>
        {title}
      </Text>
      <SimpleGrid cols={{ base: 1, sm: 3 }}>{children}</SimpleGrid>
    </Stack>
  );
}
