import { balanceResponse } from "@codex/contracts";
import { queryOptions } from "@tanstack/react-query";
import { request } from "../../../shared/api-client.ts";

/** The committed balance; asked again every two seconds while the page is seen. */
export const balanceQuery = queryOptions({
  queryKey: ["balance"],
  refetchInterval: 2_000,
  queryFn: () => request({ method: "GET", path: "/api/billing/balance", response: balanceResponse }),
});
