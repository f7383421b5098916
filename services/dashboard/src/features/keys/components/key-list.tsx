import type { ApiKey } from "@codex/contracts";
import { Button, Group, NativeSelect, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "../../../shared/error-block.tsx";
import { Empty, Loading, StaleNote } from "../../../shared/query-states.tsx";
import { Rows, type Column } from "../../../shared/rows.tsx";
import { keysQuery } from "../api/keys.ts";
import { keyState, tagsOf, works } from "../key-state.ts";
import { ChangeDialog } from "./change-dialog.tsx";
import { KeyName, KeyRestrictions, KeyStateCell, KeyUse } from "./key-cells.tsx";
import { RevokeDialog, RevokeManyDialog } from "./revoke-dialog.tsx";
import { RollDialog } from "./roll-dialog.tsx";
import { ShowDialog } from "./show-dialog.tsx";

type Act = "change" | "roll" | "show" | "revoke";
type Opened = { readonly act: Act; readonly key: ApiKey } | "revoke-many";

/** The account's keys, with what can be done about each and about many. */
export function KeyList(): ReactNode {
  const { t } = useTranslation();
  const { data, error, refetch, dataUpdatedAt: now } = useQuery(keysQuery);
  const [tag, setTag] = useState("");
  const [opened, setOpened] = useState<Opened>();
  const opener = useRef<HTMLElement>(null);
  const region = useRef<HTMLDivElement>(null);
  if (error && !data) return <ErrorBlock error={error} onRetry={() => void refetch()} />;
  if (!data) return <Loading height={120} />;
  if (data.length === 0) return <Empty text={t("keys.empty")} />;
  const open = (what: Opened): void => {
    opener.current = document.activeElement instanceof HTMLElement ? document.activeElement : null;
    setOpened(what);
  };
  const dialog = (act: Act) => ({
    apiKey: typeof opened === "object" && opened.act === act ? opened.key : undefined,
    onClose: () => setOpened(undefined),
    // The button that opened it may be gone.
    onClosed: () => (opener.current?.isConnected === true ? opener.current : region.current)?.focus(),
  });
  const { apiKey: revoking, ...revokeDialog } = dialog("revoke");
  const revocable = data.filter(({ status }) => status === "active");
  return (
    <Stack>
      {error && <StaleNote since={now} />}
      <ListTools
        keys={data}
        tag={tag}
        onTag={setTag}
        revocable={revocable.length}
        onRevoke={() => open("revoke-many")}
      />
      <div ref={region} tabIndex={-1} role="region" aria-label={t("keys.table")}>
        <KeyRows
          keys={tag === "" ? data : data.filter(({ tags }) => tags.includes(tag))}
          now={now}
          onAct={(act, key) => open({ act, key })}
        />
      </div>
      <ChangeDialog {...dialog("change")} />
      <RollDialog {...dialog("roll")} />
      <ShowDialog {...dialog("show")} />
      <RevokeDialog revoking={revoking} {...revokeDialog} />
      <RevokeManyDialog opened={opened === "revoke-many"} keys={revocable} {...revokeDialog} />
    </Stack>
  );
}

interface ToolsProps {
  readonly keys: readonly ApiKey[];
  readonly tag: string;
  readonly onTag: (tag: string) => void;
  readonly revocable: number;
  readonly onRevoke: () => void;
}

function ListTools({ keys, tag, onTag, revocable, onRevoke }: ToolsProps): ReactNode {
  const { t } = useTranslation();
  const tags = tagsOf(keys);
  if (tags.length === 0 && revocable < 2) return null;
  return (
    <Group align="end" justify="space-between">
      {tags.length > 0 ? (
        <NativeSelect
          label={t("keys.filter")}
          value={tag}
          data={[{ value: "", label: t("keys.allKeys") }, ...tags.map((value) => ({ value, label: value }))]}
          onChange={(event) => onTag(event.currentTarget.value)}
        />
      ) : (
        <span />
      )}
      {revocable > 1 && (
        <Button variant="default" onClick={onRevoke}>
          {t("keys.revokeSeveral")}
        </Button>
      )}
    </Group>
  );
}

interface RowsProps {
  readonly keys: readonly ApiKey[];
  readonly now: number;
  readonly onAct: (act: Act, key: ApiKey) => void;
}

function KeyRows({ keys, now, onAct }: RowsProps): ReactNode {
  const { t } = useTranslation();
  if (keys.length === 0) return <Text>{t("keys.noneWithTag")}</Text>;
  const columns: readonly Column<ApiKey>[] = [
    { title: t("keys.key"), cell: (key) => <KeyName apiKey={key} /> },
    { title: t("keys.restrictions"), cell: (key) => <KeyRestrictions apiKey={key} /> },
    { title: t("keys.lastUse"), cell: (key) => <KeyUse apiKey={key} /> },
    { title: t("keys.status"), cell: (key) => <KeyStateCell apiKey={key} now={now} /> },
    { title: t("keys.actions"), cell: (key) => <KeyButtons apiKey={key} now={now} onAct={onAct} /> },
  ];
  return <Rows label={t("keys.table")} rows={keys} columns={columns} keyOf={({ keyId }) => keyId} testId="key" />;
}

interface ButtonsProps {
  readonly apiKey: ApiKey;
  readonly now: number;
  readonly onAct: RowsProps["onAct"];
}

/** What makes sense for a key in its state; each button says of which key, for who does not see the row. */
function KeyButtons({ apiKey, now, onAct }: ButtonsProps): ReactNode {
  const { t } = useTranslation();
  const { name } = apiKey;
  const state = keyState(apiKey, now);
  const buttons: readonly (readonly [Act, boolean, string, string])[] = [
    ["change", state === "active" || state === "expired", t("keys.change"), t("keys.changeOf", { name })],
    ["roll", state === "active", t("keys.roll"), t("keys.rollOf", { name })],
    ["show", works(state) && apiKey.canBeShown, t("keys.show"), t("keys.showOf", { name })],
    ["revoke", works(state) || state === "expired", t("keys.revoke"), t("keys.revokeOf", { name })],
  ];
  return (
    <Group gap="xs">
      {buttons.map(([act, may, text, label]) =>
        may ? (
          <Button key={act} size="xs" variant="default" aria-label={label} onClick={() => onAct(act, apiKey)}>
            {text}
          </Button>
        ) : null,
      )}
    </Group>
  );
}
