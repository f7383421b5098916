import { usageList, usageReceipt } from "@codex/contracts";
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";

/**
 * Requests, newest first, page by page. While only the first page is shown it is asked again every three seconds; who
 * reads further back gets a list that stands still.
 */
export const usageQuery = infiniteQueryOptions({
  queryKey: ["usage"],
  initialPageParam: "",
  queryFn: ({ pageParam }) =>
    request({
      method: "GET",
      path: `/api/billing/usage?limit=25${pageParam === "" ? "" : `&cursor=${encodeURIComponent(pageParam)}`}`,
      response: usageList,
    }),
  getNextPageParam: (page) => page.nextCursor,
  refetchInterval: (query) => ((query.state.data?.pages.length ?? 1) > 1 ? false : 3_000),
});

/** A receipt never changes. */
export function receiptQuery(requestId: string) {
  return queryOptions({
    queryKey: ["receipt", requestId],
    staleTime: Infinity,
    queryFn: () => request({ method: "GET", path: `/api/billing/usage/${requestId}`, response: usageReceipt }),
  });
}
