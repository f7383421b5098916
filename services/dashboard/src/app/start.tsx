import "@mantine/core/styles.css";
import "./page.css";
import { MantineProvider } from "@mantine/core";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { forgetSession } from "../features/session/api/session.ts";
import { ApiError } from "../shared/api-client.ts";
import { startI18n } from "../shared/i18n.ts";
import { sessionQuery } from "../shared/session.ts";
import { nonce } from "./policy.ts";
import { createAppRouter } from "./router.tsx";
import { theme } from "./theme.ts";

/**
 * The session ended elsewhere, or was closed: what it showed goes, and the guard of the routes leads to the sign-in page. Or it
 * has become an operator's that has shown no second factor: the guard leads to the enrolment.
 */
function onError(error: unknown): void {
  if (!(error instanceof ApiError)) return;
  if (error.code === "session_required") {
    forgetSession(queryClient);
    void router.invalidate();
  }
  if (error.code === "second_factor_due") {
    void queryClient.query({ ...sessionQuery, staleTime: 0 }).then(() => router.invalidate());
  }
}

const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    // A refusal does not become a yes by asking again; a lost connection may.
    queries: {
      retry: (failures, error) =>
        failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
    },
    // What was sent and answered (passwords, new keys) is forgotten with the form that sent it.
    mutations: { gcTime: 0 },
  },
});
const router = createAppRouter(queryClient);

await startI18n();
const root = document.getElementById("root");
if (!root) throw new Error("the page has no root element");
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
