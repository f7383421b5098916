import { Alert, Anchor, AppShell, Box, Burger, Button, Group, NavLink, Text } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { sessionQuery, useSignOut } from "../features/session/api/session.ts";
import { ErrorBlock } from "../shared/error-block.tsx";
import { LanguageSwitch } from "./language-switch.tsx";
import { pages } from "./pages.ts";

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
        <Navigation email={account?.email} onGo={close} />
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1}>
        <Box maw={1200}>
          {signOut.error && <ErrorBlock error={signOut.error} />}
          {account?.secondFactorDue === true && (
            <Alert color="yellow" variant="light" role="status" mb="md">
              <Anchor component={Link} to="/security" underline="always">
                {t("nav.secondFactorDue")}
              </Anchor>
            </Alert>
          )}
          <Outlet />
        </Box>
      </AppShell.Main>
    </AppShell>
  );
}

interface NavigationProps {
  readonly email: string | undefined;
  readonly onGo: () => void;
}

/** The pages, and on a phone, where the header has no room for it, who is signed in. */
function Navigation({ email, onGo }: NavigationProps): ReactNode {
  const { t } = useTranslation();
  const { pathname } = useLocation();
  return (
    <>
      <Text size="sm" px="sm" pb="sm" hiddenFrom="sm" className="wrap">
        {email}
      </Text>
      {pages.map(({ path, text }) => (
        <NavLink
          key={path}
          component={Link}
          to={path}
          activeOptions={{ exact: true }}
          label={t(text)}
          active={pathname === path}
          onClick={onGo}
          bdrs="md"
          mb={4}
        />
      ))}
    </>
  );
}
