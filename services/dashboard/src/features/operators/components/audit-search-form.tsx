import { Button, Group, NativeSelect, SimpleGrid, Stack, TextInput } from "@mantine/core";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { actText, knownActions } from "../../../shared/act-text.ts";
import type { AuditSearch } from "../api/operators.ts";
import { auditServices } from "../audit-services.ts";

export const everything: AuditSearch = { service: "", accountId: "", actorId: "", action: "", since: "", until: "" };

/** Every condition that is filled in must hold. Times are the reader's own; the services are asked in UTC. */
export function AuditSearchForm({ onSearch }: { readonly onSearch: (search: AuditSearch) => void }): ReactNode {
  const { t, i18n } = useTranslation();
  const [form, setForm] = useState(everything);
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    const { service, action } = form;
    onSearch({
      service,
      action,
      accountId: form.accountId.trim(),
      actorId: form.actorId.trim(),
      since: utc(form.since),
      until: utc(form.until),
    });
  };
  const field = (name: Exclude<keyof AuditSearch, "service">) => ({
    value: form[name],
    onChange: (event: { currentTarget: { value: string } }) => setForm({ ...form, [name]: event.currentTarget.value }),
  });
  const account = { placeholder: "acc_…", autoComplete: "off", maxLength: 60 };
  const actions = knownActions
    .map((value) => ({ value, label: actText(t, i18n, value) }))
    .toSorted((one, other) => one.label.localeCompare(other.label, i18n.language));
  return (
    <form onSubmit={submit} role="search">
      <Stack gap="sm">
        <SimpleGrid cols={{ base: 1, sm: 3 }}>
          <TextInput label={t("operator.auditSearch")} {...account} {...field("accountId")} />
          <TextInput label={t("operator.auditActor")} {...account} {...field("actorId")} />
          <NativeSelect
            label={t("operator.auditAction")}
            data={[{ value: "", label: t("operator.auditAnyAction") }, ...actions]}
            {...field("action")}
          />
          <NativeSelect
            label={t("operator.auditService")}
            value={form.service}
            data={[
              { value: "", label: t("operator.auditAll") },
              ...auditServices.map((value) => ({ value, label: t(`service.${value}`) })),
            ]}
            onChange={({ currentTarget: { value } }) =>
              setForm({ ...form, service: auditServices.find((name) => name === value) ?? "" })
            }
          />
          <TextInput type="datetime-local" label={t("operator.auditSince")} {...field("since")} />
          <TextInput type="datetime-local" label={t("operator.auditUntil")} {...field("until")} />
        </SimpleGrid>
        <Group>
          <Button type="submit">{t("operator.find")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

function utc(local: string): string {
  return local === "" ? "" : new Date(local).toISOString();
}
