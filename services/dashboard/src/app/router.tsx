import { Alert, Group } from "@mantine/core";
import { useQuery, type QueryClient } from "@tanstack/react-query";
import { createRootRouteWithContext, createRoute, createRouter, Outlet, redirect, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { HomePage } from "../features/balance/components/home-page.tsx";
import { KeysPage } from "../features/keys/components/keys-page.tsx";
import { sessionQuery } from "../features/session/api/session.ts";
import { CredentialsForm } from "../features/session/components/credentials-form.tsx";
import { UsagePage } from "../features/usage/components/usage-page.tsx";
import { LanguageSwitch, Shell } from "./shell.tsx";

interface RouterContext {
  readonly queryClient: QueryClient;
}

const root = createRootRouteWithContext<RouterContext>()({ component: Outlet });

/** What follows needs a session; without one the way leads to the sign-in page. */
const signedIn = createRoute({
  getParentRoute: () => root,
  id: "signed-in",
  beforeLoad: async ({ context }) => {
    const account = await context.queryClient.query({ ...sessionQuery, staleTime: "static" });
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- the router's own way to redirect
    if (!account) throw redirect({ to: "/sign-in" });
  },
  component: SignedIn,
});

function SignedIn(): ReactNode {
  const { data } = useQuery(sessionQuery);
  return <Shell email={data?.email ?? ""} />;
}

function Credentials({ mode }: { readonly mode: "sign-in" | "sign-up" }): ReactNode {
  const navigate = useNavigate();
  return (
    <>
      <Group justify="end" p="md" component="header">
        <LanguageSwitch />
      </Group>
      <CredentialsForm mode={mode} onDone={() => void navigate({ to: "/" })} />
    </>
  );
}

function BrokenPage(): ReactNode {
  const { t } = useTranslation();
  return (
    <Alert color="red" m="lg" role="alert" title={t("error.title")}>
      {t("error.page")}
    </Alert>
  );
}

const routeTree = root.addChildren([
  signedIn.addChildren([
    createRoute({ getParentRoute: () => signedIn, path: "/", component: HomePage }),
    createRoute({ getParentRoute: () => signedIn, path: "/keys", component: KeysPage }),
    createRoute({ getParentRoute: () => signedIn, path: "/usage", component: UsagePage }),
  ]),
  createRoute({ getParentRoute: () => root, path: "/sign-in", component: () => <Credentials mode="sign-in" /> }),
  createRoute({ getParentRoute: () => root, path: "/sign-up", component: () => <Credentials mode="sign-up" /> }),
]);

export function createAppRouter(queryClient: QueryClient) {
  return createRouter({
    routeTree,
    context: { queryClient },
    defaultErrorComponent: BrokenPage,
    defaultNotFoundComponent: BrokenPage,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
