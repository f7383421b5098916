import type { OperatedAccount } from "@codex/contracts";
import { Anchor, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState, type ReactNode, type SyntheticEvent } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { countText, timeText } from "../../../shared/format.ts";
import { PageTitle } from "../../../shared/page-title.tsx";
import { Loading } from "../../../shared/query-states.tsx";
import { Rows, type Column } from "../../../shared/rows.tsx";
import { ShowMore } from "../../../shared/show-more.tsx";
import { accountsQuery } from "../api/operators.ts";
import { AccountState } from "./account-state.tsx";

/** Accounts by id or address. What is looked for stays out of the address bar: it is somebody's e-mail. */
export function AccountsPage(): ReactNode {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const [search, setSearch] = useState("");
  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    setSearch(typed.trim());
  };
  return (
    <Stack gap="lg">
      <PageTitle text={t("operator.accounts")} />
      <form onSubmit={submit} role="search">
        <Group align="end" gap="sm">
          <TextInput
            label={t("operator.search")}
            description={t("operator.searchHint")}
            autoComplete="off"
            maxLength={254}
            miw={200}
            flex={{ base: 1, sm: "0 1 28rem" }}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
          <Button type="submit">{t("operator.find")}</Button>
        </Group>
      </form>
      <Found search={search} />
    </Stack>
  );
}

function Found({ search }: { readonly search: string }): ReactNode {
  const { t, i18n } = useTranslation();
  const list = useInfiniteQuery(accountsQuery(search));
  const { data, error, refetch } = list;
  if (error && !data) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Loading height={200} />;
  const accounts = data.pages.flatMap((page) => page.accounts);
  if (accounts.length === 0) return <Text role="status">{t("operator.nobody")}</Text>;
  const columns: readonly Column<OperatedAccount>[] = [
    { title: t("signIn.email"), cell: (account) => <AccountLink account={account} /> },
    { title: t("operator.name"), cell: ({ name }) => name ?? "—" },
    { title: t("operator.role"), cell: ({ role }) => t(`role.${role}`) },
    { title: t("operator.state"), cell: (account) => <AccountState account={account} /> },
    { title: t("operator.sessions"), cell: ({ liveSessions }) => countText(liveSessions, i18n.language) },
    { title: t("operator.since"), cell: ({ createdAt }) => timeText(createdAt, i18n.language) },
  ];
  return (
    <>
      <Rows
        label={t("operator.accounts")}
        rows={accounts}
        columns={columns}
        keyOf={({ accountId }) => accountId}
        testId="account"
      />
      <ShowMore list={list} />
    </>
  );
}

function AccountLink({ account: { accountId, email } }: { readonly account: OperatedAccount }): ReactNode {
  return (
    <Anchor
      underline="always"
      className="wrap"
      renderRoot={(props) => <Link to="/operator/accounts/$accountId" params={{ accountId }} {...props} />}
    >
      {email}
    </Anchor>
  );
}
