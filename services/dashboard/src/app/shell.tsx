import { isPermitted, type Account } from "@codex/contracts";
import { AppShell, Box, Burger, Button, Group, NavLink, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useSignOut } from "../features/session/api/session.ts";
import { StepUpDialog } from "../features/session/components/step-up-dialog.tsx";
import { ErrorBlock } from "../shared/error-block.tsx";
import { sessionQuery } from "../shared/session.ts";
import { LanguageSwitch } from "./language-switch.tsx";
import { operatorPages, pages, type PagePath } from "./pages.ts";

/** Header, navigation and the place of the page. Closed on a phone, the navigation is out of the keyboard's reach too. */
export function SignedInShell(): ReactNode {
  const { t } = useTranslation();
  const { data: account } = useQuery(sessionQuery);
  const [opened, { toggle, close }] = useDisclosure(false);
  const navigate = useNavigate();
  const signOut = useSignOut();
  return (
    <AppShell
      header={{ height: 60 }}
      navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={{ base: "md", sm: "lg" }}
    >
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group wrap="nowrap" gap="sm">
            <Burger
              opened={opened}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={t("app.menu")}
              aria-expanded={opened}
            />
            <Text fw={700} className="nowrap">
              {t("app.name")}
            </Text>
          </Group>
          <Group wrap="nowrap" gap="sm">
            <Text size="sm" visibleFrom="sm" truncate maw={280}>
              {account?.email}
            </Text>
            <LanguageSwitch />
            <Button
              size="xs"
              variant="default"
              loading={signOut.isPending}
              onClick={() => signOut.mutate(undefined, { onSuccess: () => void navigate({ to: "/sign-in" }) })}
            >
              {t("nav.signOut")}
            </Button>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm" {...(opened ? {} : { visibleFrom: "sm" })}>
        {account && <Navigation account={account} onGo={close} />}
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <Box maw={1200}>
          {signOut.error && <ErrorBlock error={signOut.error} />}
          <Outlet />
        </Box>
      </AppShell.Main>
      <StepUpDialog />
    </AppShell>
  );
}

interface NavigationProps {
  readonly account: Account;
  readonly onGo: () => void;
}

/** The pages, and on a phone, where the header has no room for it, who is signed in. */
function Navigation({ account, onGo }: NavigationProps): ReactNode {
  const { t } = useTranslation();
  // An operator without a second factor has one page, and is on it (SEC-25).
  const own = account.secondFactorDue ? [] : pages;
  const operators = operatorPages.filter(({ permission }) => isPermitted(account.role, permission));
  return (
    <>
      <Text size="sm" px="sm" pb="sm" hiddenFrom="sm" className="wrap">
        {account.email}
      </Text>
      {own.map((page) => (
        <PageLink key={page.path} {...page} onGo={onGo} />
      ))}
      {operators.length > 0 && (
        <Text size="sm" fw={600} px="sm" pt="md" pb={4} c="dimmed">
          {t("nav.operator")}
        </Text>
      )}
      {operators.map((page) => (
        <PageLink key={page.path} {...page} onGo={onGo} />
      ))}
    </>
  );
}

interface PageLinkProps {
  readonly path: PagePath;
  readonly text: string;
  readonly onGo: () => void;
}

function PageLink({ path, text, onGo }: PageLinkProps): ReactNode {
  const { t } = useTranslation();
  const { pathname } = useLocation();
  return (
    <NavLink
      component={Link}
      to={path}
      activeOptions={{ exact: true }}
      label={t(text)}
      active={pathname === path || (path !== "/" && pathname.startsWith(`${path}/`))}
      onClick={onGo}
      bdrs="md"
      mb={4}
    />
  );
}
