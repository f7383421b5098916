import { Anchor, AppShell, Burger, Button, Group, NavLink, SegmentedControl, Text, VisuallyHidden } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useSignOut } from "../features/session/api/session.ts";

const pages = [
  { path: "/", text: "nav.home" },
  { path: "/keys", text: "nav.keys" },
  { path: "/usage", text: "nav.usage" },
] as const;

/** Header, navigation and the place of the page. */
export function Shell({ email }: { readonly email: string }): ReactNode {
  const { t } = useTranslation();
  const [opened, { toggle, close }] = useDisclosure(false);
  const { pathname } = useLocation();
  return (
    <AppShell header={{ height: 60 }} navbar={{ width: 220, breakpoint: "sm", collapsed: { mobile: !opened } }} padding="lg">
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group wrap="nowrap">
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t("app.menu")} />
            <Anchor href="#content" pos="absolute" left={-9999} className="skip-link">
              {t("app.skip")}
            </Anchor>
            <Text fw={700}>{t("app.name")}</Text>
          </Group>
          <Account email={email} />
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm">
        {pages.map(({ path, text }) => (
          <NavLink key={path} component={Link} to={path} label={t(text)} active={pathname === path} onClick={close} />
        ))}
      </AppShell.Navbar>
      <AppShell.Main id="content">
        <Outlet />
      </AppShell.Main>
    </AppShell>
  );
}

function Account({ email }: { readonly email: string }): ReactNode {
  const { t } = useTranslation();
  const signOut = useSignOut();
  const navigate = useNavigate();
  return (
    <Group wrap="nowrap">
      <Text size="sm" visibleFrom="sm">
        {email}
      </Text>
      <LanguageSwitch />
      <Button
        size="xs"
        variant="default"
        onClick={() => signOut.mutate(undefined, { onSettled: () => void navigate({ to: "/sign-in" }) })}
      >
        {t("nav.signOut")}
      </Button>
    </Group>
  );
}

export function LanguageSwitch(): ReactNode {
  const { t, i18n } = useTranslation();
  return (
    <div>
      <VisuallyHidden id="language-label">{t("app.language")}</VisuallyHidden>
      <SegmentedControl
        size="xs"
        aria-labelledby="language-label"
        value={i18n.language}
        data={[
          { value: "ru", label: "RU" },
          { value: "en", label: "EN" },
        ]}
        onChange={(language) => void i18n.changeLanguage(language)}
      />
    </div>
  );
}
