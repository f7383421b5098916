import type { ColumnType } from "kysely";

/** Columns of `images.asset`: metadata only, the bytes lie in the object store. No prompt, no file name of the customer. */
export interface AssetTable {
  readonly id: string;
  readonly account_id: string;
  readonly content_type: "image/png" | "image/jpeg" | "image/webp";
  readonly bytes: ColumnType<bigint, bigint, never>;
  readonly created_at: Date;
  readonly expires_at: Date;
}

export interface ImageTables {
  asset: AssetTable;
}

export const imagesSchema = "images";
