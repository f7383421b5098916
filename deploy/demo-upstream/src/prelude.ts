import { errorBody, modelNotFound, scriptedError, type Dialect } from "./http/errors.ts";
import type { Context } from "./http/context.ts";
import { resolveModel, type Model, type Skill } from "./models.ts";

/** Every endpoint begins alike: find the model, then let its fault answer in place of the endpoint. */

const badGatewayPage =
  "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/** The model, when it has the skill. Throws the dialect's 404. */
export function requireModel({ config, exchange }: Context, id: string, skill: Skill): Model {
  exchange.facts.model = id;
  const model = resolveModel(id, config);
  if (!model?.skills.includes(skill)) throw modelNotFound(id);
  return model;
}

/** True when the fault was the whole answer. Throws the errors that faults ask for. */
export async function faultAnswered(context: Context, model: Model, dialect: Dialect): Promise<boolean> {
  const { exchange } = context;
  const { fault } = model;
  switch (fault?.kind) {
    case "error":
      throw scriptedError(model.id, fault.status, fault.retryAfterSeconds);
    case "flaky":
      if (context.flaky.shouldFail(context.body, fault.failures)) throw scriptedError(model.id, 503, 0);
      return false;
    case "html-502":
      exchange.res.writeHead(502, { "content-type": "text/html" });
      await exchange.end(badGatewayPage);
      return true;
    case "error-200": {
      const body = errorBody(dialect, scriptedError(model.id, 500, undefined), exchange.requestId);
      exchange.res.writeHead(200, { "content-type": "application/json" });
      await exchange.end(JSON.stringify(body));
      return true;
    }
    case "hang":
      await exchange.waitUntilGone();
      return true;
    default:
      return false;
  }
}
