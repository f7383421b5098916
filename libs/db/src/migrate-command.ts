import { migrate } from "./migrate.ts";
import type { Migration } from "./migration.ts";

export interface MigrateCommandOptions {
  readonly service: string;
  readonly schema: string;
  readonly migrations: readonly Migration[];
  /** DATABASE_OWNER_URL as the environment has it: the schema's owner role. */
  readonly ownerUrl: string | undefined;
}

/**
 * The whole of a service's migrate.ts: brings the schema up to the code, prints one JSON line, and sets the exit code:
 * 0 done (also when there was nothing to do), 1 failed, 78 (EX_CONFIG) without a usable URL. Never throws.
 */
export async function migrateCommand({ service, schema, migrations, ownerUrl }: MigrateCommandOptions): Promise<void> {
  if (ownerUrl === undefined || !/^postgres(ql)?:\/\//.test(ownerUrl)) {
    process.stderr.write(
      `${service} does not migrate: DATABASE_OWNER_URL must be a postgres:// URL of the role that owns schema ${schema}.\n`,
    );
    process.exitCode = 78;
    return;
  }
  try {
    const { applied } = await migrate({ url: ownerUrl, schema, migrations });
    process.stdout.write(`${JSON.stringify({ event: "migrated", service, schema, applied })}\n`);
  } catch (error) {
    process.stderr.write(
      `${service} could not migrate schema ${schema}: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 1;
  }
}
