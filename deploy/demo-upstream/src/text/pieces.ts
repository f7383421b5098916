/** Cuts text the way a model streams it: a word with the space before it, long words in parts. Joined, the pieces are the text. */
export function pieces(text: string): string[] {
  return text.match(/\s*\S{1,12}|\s+/gu) ?? [];
}

/** Cuts JSON into fragments of about 12 characters that are rarely JSON themselves: clients must join before they parse. */
export function fragments(json: string): string[] {
  return json.match(/[\s\S]{1,12}/gu) ?? [];
}
