import { isPermitted, type Permission } from "@codex/contracts";
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  notFound,
  redirect,
} from "@tanstack/react-router";
import { sessionQuery } from "../shared/session.ts";
import { BrokenPage, Frame, NoSuchPage } from "./frame.tsx";
import { pagePath, type PagePath } from "./pages.ts";

interface RouterContext {
  readonly queryClient: QueryClient;
}

const root = createRootRouteWithContext<RouterContext>()({ component: Frame });

/** All that an operator without a second factor can reach (SEC-25). */
const secondFactorPath = "/second-factor";

/** What follows needs a session; without one the way leads to the sign-in page, and from there back. */
const signedIn = createRoute({
  getParentRoute: () => root,
  id: "signed-in",
  beforeLoad: async ({ context, location }) => {
    const account = await context.queryClient.query({ ...sessionQuery, staleTime: "static" });
    if (account) {
      if (!account.secondFactorDue || location.pathname === secondFactorPath) return;
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- the router's own way to redirect
      throw redirect({ to: secondFactorPath });
    }
    const next = pagePath(location.pathname);
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- the router's own way to redirect
    throw redirect({ to: "/sign-in", search: next === undefined || next === "/" ? {} : { next } });
  },
  component: lazyRouteComponent(() => import("./shell.tsx"), "SignedInShell"),
});

/** For an account without the permission such a page does not exist. The services refuse whatever it would ask as well. */
const operatorsOnly =
  (permission: Permission) =>
  async ({ context }: { readonly context: RouterContext }): Promise<void> => {
    const account = await context.queryClient.query({ ...sessionQuery, staleTime: "static" });
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- the router's own way to say so
    if (!account || !isPermitted(account.role, permission)) throw notFound();
  };

/** `?next=` is one of our pages or nothing. */
const nextPage = (search: Readonly<Record<string, unknown>>): { next?: PagePath } => {
  const next = pagePath(search["next"]);
  return next === undefined ? {} : { next };
};

const routeTree = root.addChildren([
  signedIn.addChildren([
    createRoute({
      getParentRoute: () => signedIn,
      path: "/",
      component: lazyRouteComponent(() => import("../features/balance/components/home-page.tsx"), "HomePage"),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: "/keys",
      component: lazyRouteComponent(() => import("../features/keys/components/keys-page.tsx"), "KeysPage"),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: "/usage",
      component: lazyRouteComponent(() => import("../features/usage/components/usage-page.tsx"), "UsagePage"),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: "/security",
      component: lazyRouteComponent(() => import("../features/security/components/security-page.tsx"), "SecurityPage"),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: "/account",
      component: lazyRouteComponent(() => import("../features/account/components/account-page.tsx"), "AccountPage"),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: secondFactorPath,
      component: lazyRouteComponent(() => import("./second-factor-page.tsx"), "SecondFactorPage"),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: "/operator/accounts",
      beforeLoad: operatorsOnly("accounts.read"),
      component: lazyRouteComponent(() => import("../features/operators/components/accounts-page.tsx"), "AccountsPage"),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: "/operator/accounts/$accountId",
      beforeLoad: operatorsOnly("accounts.read"),
      component: lazyRouteComponent(
        () => import("../features/operators/components/account-page.tsx"),
        "OperatedAccountPage",
      ),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: "/operator/invitations",
      beforeLoad: operatorsOnly("accounts.invite"),
      component: lazyRouteComponent(
        () => import("../features/operators/components/invitations-page.tsx"),
        "InvitationsPage",
      ),
    }),
    createRoute({
      getParentRoute: () => signedIn,
      path: "/operator/acts",
      beforeLoad: operatorsOnly("acts.read"),
      component: lazyRouteComponent(() => import("../features/operators/components/audit-page.tsx"), "AuditPage"),
    }),
  ]),
  createRoute({
    getParentRoute: () => root,
    path: "/sign-in",
    validateSearch: nextPage,
    component: lazyRouteComponent(() => import("./credentials-pages.tsx"), "SignInPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/sign-up",
    validateSearch: nextPage,
    component: lazyRouteComponent(() => import("./credentials-pages.tsx"), "SignUpPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/verify",
    component: lazyRouteComponent(() => import("./credentials-pages.tsx"), "VerifyPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/reset",
    component: lazyRouteComponent(() => import("./credentials-pages.tsx"), "ResetPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/sign-in-link",
    component: lazyRouteComponent(() => import("./credentials-pages.tsx"), "SignInLinkPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/email",
    component: lazyRouteComponent(() => import("./credentials-pages.tsx"), "ConfirmEmailPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/mailbox",
    component: lazyRouteComponent(() => import("./credentials-pages.tsx"), "MailboxPage"),
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/first-operator",
    component: lazyRouteComponent(() => import("./credentials-pages.tsx"), "FirstOperatorPage"),
  }),
]);

export function createAppRouter(queryClient: QueryClient) {
  return createRouter({
    routeTree,
    context: { queryClient },
    defaultPreload: "intent",
    // Every route is wrapped, so a broken page leaves the navigation standing.
    defaultErrorComponent: BrokenPage,
    defaultNotFoundComponent: NoSuchPage,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof createAppRouter>;
  }
}
