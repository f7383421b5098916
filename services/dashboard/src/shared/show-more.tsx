import { Button, Group } from "@mantine/core";
import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ErrorBlock } from "./error-block.tsx";
import { StaleNote } from "./query-states.tsx";

type List = Pick<
  UseInfiniteQueryResult,
  | "error"
  | "isRefetchError"
  | "isFetchNextPageError"
  | "dataUpdatedAt"
  | "hasNextPage"
  | "isFetchingNextPage"
  | "fetchNextPage"
>;

/** Below a list that comes in pages: what went wrong while the rows above stand, and the way to more of them. */
export function ShowMore({ list }: { readonly list: List }): ReactNode {
  const { t } = useTranslation();
  const next = (): void => void list.fetchNextPage();
  return (
    <>
      {list.isRefetchError && <StaleNote since={list.dataUpdatedAt} />}
      {list.isFetchNextPageError && <ErrorBlock error={list.error} onRetry={next} />}
      {list.hasNextPage && !list.isFetchNextPageError && (
        <Group>
          <Button variant="default" loading={list.isFetchingNextPage} onClick={next}>
            {t("app.more")}
          </Button>
        </Group>
      )}
    </>
  );
}
