import tseslint from "typescript-eslint";

// Two rules of our own, for two mistakes that have cost others dearly. Without type information, so that a test can lint samples.

/** Last words of names that hold something an attacker would like to guess letter by letter. Plurals are counts of model tokens. */
const secretWords = new Set([
  ...["token", "secret", "signature", "sig", "mac", "hmac", "digest", "hash", "password", "passphrase", "pepper"],
  ...["proof", "csrf", "otp", "totp"],
]);
const equalities = new Set(["===", "!==", "==", "!="]);

/** "tokenHash", "token_hash" and "TOKEN_HASH" → "hash". */
function lastWord(name) {
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .split("_");
  return words.filter((word) => word !== "").at(-1) ?? "";
}

/** What an expression is called: of `a.b.c` it is c, of `f(x)` it is f. */
function nameOf(node) {
  switch (node.type) {
    case "Identifier":
    case "PrivateIdentifier":
      return node.name;
    case "MemberExpression":
      return node.computed
        ? node.property.type === "Literal"
          ? String(node.property.value)
          : ""
        : nameOf(node.property);
    case "ChainExpression":
    case "TSNonNullExpression":
    case "TSAsExpression":
    case "AwaitExpression":
      return nameOf(node.expression ?? node.argument);
    case "CallExpression":
      return textCalls.has(nameOf(node.callee)) ? nameOf(node.callee.object) : nameOf(node.callee);
    default:
      return "";
  }
}

/** Calls that give the same secret in another form. */
const textCalls = new Set(["toString", "trim", "toLowerCase", "toUpperCase", "slice", "at", "subarray"]);

/** Whether something is there, of what kind it is, or a word of ours: nothing is learnt from the time of that. */
function isFixed(context, node) {
  if (node.type === "Literal") return true;
  if (node.type === "TemplateLiteral") return node.expressions.length === 0;
  if (node.type === "UnaryExpression") return true;
  return node.type === "Identifier" && (node.name === "undefined" || initOf(context, node)?.type === "Literal");
}

const isSecret = (node) => secretWords.has(lastWord(nameOf(node)));

/** SEC-34. */
const constantTime = {
  meta: {
    type: "problem",
    schema: [],
    messages: {
      compare:
        "'{{name}}' is compared letter by letter, and the time tells how many were right: use timingSafeEqual of node:crypto on digests of one length. If it is no secret, a suppression says why.",
    },
  },
  create(context) {
    const check = (node, left, right) => {
      if (isFixed(context, left) || isFixed(context, right)) return;
      const secret = [left, right].find(isSecret);
      if (secret) context.report({ node, messageId: "compare", data: { name: nameOf(secret) } });
    };
    return {
      BinaryExpression(node) {
        if (equalities.has(node.operator)) check(node, node.left, node.right);
      },
      // Of a Buffer: it stops at the first byte that differs as well.
      "CallExpression[callee.type='MemberExpression'][callee.property.name='equals'][arguments.length=1]"(node) {
        check(node, node.callee.object, node.arguments[0]);
      },
    };
  },
};

/** Functions that take a statement as text: pg's, and the two of kysely that put text into one. */
const statementCalls = new Set(["query", "raw", "lit", "unsafe"]);
/** What makes text of something else safe inside a statement. */
const escapes = new Set(["escapeIdentifier", "escapeLiteral"]);
const joins = new Set(["join", "concat", "replace", "replaceAll"]);

function variableOf(context, node) {
  for (let scope = context.sourceCode.getScope(node); scope; scope = scope.upper) {
    const found = scope.set.get(node.name);
    if (found) return found;
  }
  return undefined;
}

/** What a `const` was given, if that is all that is known of it. */
function initOf(context, node) {
  const definition = variableOf(context, node)?.defs[0];
  if (definition?.type !== "Variable" || definition.parent.kind !== "const") return undefined;
  return definition.node.id.type === "Identifier" ? definition.node.init : undefined;
}

const inner = (node) =>
  node.type === "TSAsExpression" || node.type === "TSNonNullExpression" ? inner(node.expression) : node;

/** Text of this file alone: literals, and what is put together of them. */
function isOurs(context, given, depth = 0) {
  const node = inner(given);
  if (depth > 8) return false;
  const ours = (part) => isOurs(context, part, depth + 1);
  if (node.type === "Literal") return true;
  if (node.type === "TemplateLiteral") return node.expressions.every(ours);
  if (node.type === "BinaryExpression") return node.operator === "+" && ours(node.left) && ours(node.right);
  if (node.type === "ConditionalExpression") return ours(node.consequent) && ours(node.alternate);
  if (node.type === "CallExpression" && escapes.has(nameOf(node.callee))) return true;
  if (node.type === "CallExpression" && nameOf(node.callee) === "String") return node.arguments.every(ours);
  if (node.type !== "Identifier") return false;
  const init = initOf(context, node);
  return init !== undefined && init !== null && ours(init);
}

/** Where text of elsewhere was put into a statement; undefined when nothing shows it. */
function builtIn(context, given, depth = 0) {
  const node = inner(given);
  if (depth > 8) return undefined;
  const look = (part) => builtIn(context, part, depth + 1);
  if (node.type === "TemplateLiteral")
    return node.expressions.every((part) => isOurs(context, part)) ? undefined : node;
  if (node.type === "BinaryExpression") return node.operator === "+" && !isOurs(context, node) ? node : undefined;
  if (node.type === "ConditionalExpression") return look(node.consequent) ?? look(node.alternate);
  if (node.type === "CallExpression")
    return node.callee.type === "MemberExpression" && joins.has(nameOf(node.callee)) ? node : undefined;
  if (node.type === "ObjectExpression") {
    const text = node.properties.find((property) => property.type === "Property" && nameOf(property.key) === "text");
    return text ? look(text.value) : undefined;
  }
  if (node.type !== "Identifier") return undefined;
  const init = initOf(context, node);
  return init ? look(init) : undefined;
}

/** SEC-06. */
const parameterisedSql = {
  meta: {
    type: "problem",
    schema: [],
    messages: {
      built:
        "This statement is put together of text from elsewhere: give values as parameters ($1) or through kysely's sql`…`, names through escapeIdentifier. If the text is ours, a suppression says why.",
    },
  },
  create(context) {
    return {
      CallExpression(node) {
        if (node.callee.type !== "MemberExpression" || !statementCalls.has(nameOf(node.callee.property))) return;
        const [statement] = node.arguments;
        if (!statement || statement.type === "SpreadElement") return;
        // kysely's two put any text in as it stands; pg's take a statement.
        const isOfKysely = nameOf(node.callee.object) === "sql";
        const built = isOfKysely ? (isOurs(context, statement) ? undefined : statement) : builtIn(context, statement);
        if (built) context.report({ node: built, messageId: "built" });
      },
    };
  },
};

export const securityPlugin = { rules: { "constant-time": constantTime, "parameterised-sql": parameterisedSql } };

export const securityRules = { "security/constant-time": "error", "security/parameterised-sql": "error" };

export default [
  {
    files: ["**/*.ts"],
    plugins: { security: securityPlugin },
    languageOptions: { parser: tseslint.parser },
    rules: securityRules,
  },
];
