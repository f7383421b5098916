import { channelParams, channelResponse, type ChannelState } from "@codex/contracts";
import { defineRoute, type Route } from "@codex/http";
import { setChannelState, type ChannelPorts } from "../../app/manage-channels.ts";
import { answerWith, operatorsOnly } from "./shared.ts";

const transitions: readonly { readonly verb: string; readonly to: ChannelState; readonly summary: string }[] = [
  { verb: "enable", to: "enabled", summary: "Let the channel take requests; idempotent" },
  {
    verb: "drain",
    to: "draining",
    summary: "Take no new requests; running ones end, then the channel becomes disabled; idempotent",
  },
  {
    verb: "disable",
    to: "disabled",
    summary: "Take no new requests, and offer its models no more; running requests end; idempotent",
  },
];

export function stateRoutes(ports: ChannelPorts): readonly Route[] {
  return transitions.map(({ verb, to, summary }) =>
    defineRoute({
      ...operatorsOnly,
      operationId: `${verb}Channel`,
      method: "POST",
      path: `/api/gateway/channels/:channelId/${verb}`,
      summary,
      rateClass: "write",
      bodyLimitBytes: 1_024,
      request: { params: channelParams },
      responses: { 200: channelResponse },
      errors: ["not_found", "conflict"],
      handler: async ({ params, principal }) =>
        answerWith(await setChannelState(ports, principal.accountId, params.channelId, to), 200),
    }),
  );
}
