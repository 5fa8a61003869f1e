/** Reads `name=value` pairs between semicolons, as DMARC and DKIM records have them; undefined if one is none. */
export const tagsOf = (record: string): ReadonlyMap<string, string> | undefined => {
  const tags = new Map<string, string>();
  for (const part of record.split(";")) {
    if (part.trim() === "") continue;
    const [, name, value = ""] = /^\s*([a-z][a-z0-9_]*)\s*=\s*(.*?)\s*$/is.exec(part) ?? [];
    if (!name || tags.has(name.toLowerCase())) return undefined;
    tags.set(name.toLowerCase(), value);
  }
  return tags;
};
