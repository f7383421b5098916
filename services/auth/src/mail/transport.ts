import type { Db } from "@codex/db";
import type { Clock } from "@codex/kernel";
import { createTransport } from "nodemailer";
import type { Mail } from "../domain/mail.ts";
import type { AuthTables } from "../store/schema.ts";

export interface MailTransport {
  /** Resolves when the mail server has taken the mail; rejects within half a minute otherwise. */
  send(mail: Mail): Promise<void>;
  close(): void;
}

const smtpTimeoutMs = 10_000;

/** SMTP by nodemailer 10.6 (MIT-0, 2026-11): the protocol, its encodings and TLS are nothing to write oneself. */
export function smtpTransport(url: string, from: string): MailTransport {
  const transport = createTransport({
    url,
    pool: true,
    maxConnections: 2,
    connectionTimeout: smtpTimeoutMs,
    greetingTimeout: smtpTimeoutMs,
    socketTimeout: smtpTimeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async send({ to, subject, text }) {
      // Address as an object: it is one mailbox and never parsed as a list of them.
      await transport.sendMail({ from, to: { name: "", address: to }, subject, text });
    },
    close: () => transport.close(),
  };
}

/** Without a mail server nobody is written to; the log says so at the start. */
export const noTransport: MailTransport = { send: () => Promise.resolve(), close: () => undefined };

/** The newest mails that the mailbox of a demo shows. */
export const demoMailsMax = 50;

export interface DemoMail extends Mail {
  readonly sentAt: Date;
}

/** Instead of a mail server: mails stay here and the dashboard shows them. Only where everybody may read everything. */
export function demoTransport(db: Db<AuthTables>, clock: Clock): MailTransport {
  return {
    async send({ to, subject, text }) {
      await db.kysely
        .insertInto("demo_mail")
        .values({ recipient: to, subject, body: text, sent_at: clock.now() })
        .execute();
      const kept = db.kysely.selectFrom("demo_mail").select("id").orderBy("id", "desc").limit(1_000);
      await db.kysely.deleteFrom("demo_mail").where("id", "not in", kept).execute();
    },
    close: () => undefined,
  };
}

/** Newest first. */
export async function readDemoMails(db: Db<AuthTables>, to: string | undefined): Promise<readonly DemoMail[]> {
  let query = db.kysely.selectFrom("demo_mail").selectAll().orderBy("id", "desc").limit(demoMailsMax);
  if (to !== undefined) query = query.where("recipient", "=", to);
  const rows = await query.execute();
  return rows.map(({ recipient, subject, body, sent_at: sentAt }) => ({ to: recipient, subject, text: body, sentAt }));
}
