import { usageList, usageReceipt } from "@codex/contracts";
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";

/** Requests, newest first, page by page; the first page is asked again every three seconds while it is seen. */
export const usageQuery = infiniteQueryOptions({
  queryKey: ["usage"],
  initialPageParam: "",
  refetchInterval: 3_000,
  queryFn: ({ pageParam }) =>
    request({
      method: "GET",
      path: `/api/billing/usage?limit=25${pageParam === "" ? "" : `&cursor=${encodeURIComponent(pageParam)}`}`,
      response: usageList,
    }),
  getNextPageParam: (page) => page.nextCursor,
});

export function receiptQuery(requestId: string) {
  return queryOptions({
    queryKey: ["receipt", requestId],
    queryFn: () => request({ method: "GET", path: `/api/billing/usage/${requestId}`, response: usageReceipt }),
  });
}
