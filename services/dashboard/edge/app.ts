import { appError, renderProblem } from "@codex/http";
import { newId } from "@codex/kernel";
import express from "express";
import type { EdgeConfig } from "./config.ts";
import { page, pageAssets } from "./page.ts";
import { ownForwarding, proxyTo } from "./proxy.ts";
import { edgeRoutes } from "./routes.ts";

/** APIs first, then files, then the page; what is left is a 404 in the form of the service APIs. */
export function createEdgeApp(targets: EdgeConfig["targets"], pageDirectory: string): express.Express {
  const app = express();
  app.disable("x-powered-by");
  app.use(ownForwarding);
  for (const route of edgeRoutes) app.use(proxyTo(route, targets[route.target]));
  app.use(pageAssets(pageDirectory));
  app.use(page(pageDirectory));
  app.use((_req, res) => {
    const requestId = newId("req");
    const rendered = renderProblem(appError("route_not_found", "There is no such route."), requestId);
    // As bytes: to a text Express would add a charset, which the form of the services' refusals does not have.
    res
      .status(rendered.status)
      .set(rendered.headers)
      .set("x-request-id", requestId)
      .send(Buffer.from(JSON.stringify(rendered.body)));
  });
  return app;
}
