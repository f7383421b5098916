import { commonConfig, commonFields, defineConfig, env, type CommonConfig } from "@codex/runtime";

export interface EdgeConfig {
  readonly common: CommonConfig;
  readonly targets: Readonly<Record<"auth" | "keys" | "billing" | "gateway" | "images" | "bonus", string>>;
}

const target = (what: string) => env.url({ protocols: ["http"] }).describe(`Base URL of ${what} inside the network`);

export const edgeConfig = defineConfig({
  service: "dashboard",
  fields: {
    ...commonFields,
    AUTH_URL: target("auth"),
    KEYS_URL: target("key-registry"),
    BILLING_URL: target("billing-ledger"),
    GATEWAY_URL: target("gateway-proxy"),
    IMAGES_URL: target("image-cache"),
    BONUS_URL: target("telegram-bonus"),
  },
  build: (values): EdgeConfig => ({
    common: commonConfig(values),
    targets: {
      auth: values.AUTH_URL,
      keys: values.KEYS_URL,
      billing: values.BILLING_URL,
      gateway: values.GATEWAY_URL,
      images: values.IMAGES_URL,
      bonus: values.BONUS_URL,
    },
  }),
});
