/** Reads `name=value` pairs between semicolons, as DMARC and DKIM records have them; undefined if one is none. */
export const tagsOf = (record: string): ReadonlyMap<string, string> | undefined => {
  const tags = new Map<string, string>();
  for (const part of record.split(";")) {
    if (part.trim() === "") continue;
    const equals = part.indexOf("=");
    const name = part.slice(0, equals).trim().toLowerCase();
    if (equals < 0 || !/^[a-z][a-z0-9_]*$/.test(name) || tags.has(name)) return undefined;
    tags.set(name, part.slice(equals + 1).trim());
  }
  return tags;
};
