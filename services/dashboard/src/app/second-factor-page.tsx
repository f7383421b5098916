import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { SecondFactorDuePage } from "../features/security/components/security-page.tsx";
import { sessionQuery } from "../shared/session.ts";

/** For an operator whose session has not shown a second factor; afterwards it leads on. */
export function SecondFactorPage(): ReactNode {
  const { data: account } = useQuery(sessionQuery);
  const navigate = useNavigate();
  return (
    <SecondFactorDuePage enrolled={account?.secondFactorDue === false} onGoOn={() => void navigate({ to: "/" })} />
  );
}
