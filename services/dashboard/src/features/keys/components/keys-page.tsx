import { Stack } from "@mantine/core";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { PageTitle } from "../../../shared/page-title.tsx";
import { CreateForm } from "./create-form.tsx";
import { KeyList } from "./key-list.tsx";

export function KeysPage(): ReactNode {
  const { t } = useTranslation();
  return (
    <Stack gap="lg">
      <PageTitle text={t("keys.title")} />
      <CreateForm />
      <KeyList />
    </Stack>
  );
}
