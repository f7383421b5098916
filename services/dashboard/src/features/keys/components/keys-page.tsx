import { Button, Group, Stack, TextInput } from "@mantine/core";
import { useRef, useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { PageTitle } from "../../../shared/page-title.tsx";
import { useCreateKey } from "../api/keys.ts";
import { KeyList } from "./key-list.tsx";
import { SecretDialog } from "./secret-dialog.tsx";

export function KeysPage(): ReactNode {
  const { t } = useTranslation();
  const create = useCreateKey();
  const [name, setName] = useState("");
  const nameField = useRef<HTMLInputElement>(null);
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    create.mutate(name.trim(), { onSuccess: () => setName("") });
  };
  return (
    <Stack gap="lg">
      <PageTitle text={t("keys.title")} />
      <form onSubmit={submit}>
        <Group align="end" gap="sm">
          <TextInput
            required
            ref={nameField}
            maxLength={100}
            flex={{ base: 1, sm: "0 1 20rem" }}
            miw={200}
            label={t("keys.name")}
            placeholder={t("keys.namePlaceholder")}
            autoComplete="off"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Button type="submit" loading={create.isPending}>
            {t("keys.create")}
          </Button>
        </Group>
      </form>
      {create.error && <ErrorBlock error={create.error} />}
      <KeyList />
      {/* The secret is in the answer only: closing forgets the answer. */}
      <SecretDialog
        secret={create.data?.secret}
        onClose={() => create.reset()}
        onClosed={() => nameField.current?.focus()}
      />
    </Stack>
  );
}
