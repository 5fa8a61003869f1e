/** A call in an m4 text, its arguments without their outer quotes. */
export type Call = { name: string; args: string[]; line: number };

/**
 * The calls at the top of a sendmail .mc, with `quotes', dnl and comments. Nothing is expanded: what stands in an
 * argument is its text. `broken` is why reading ended early.
 */
export const callsOf = (text: string): { calls: Call[]; broken?: { line: number; expected: string } } => {
  const calls: Call[] = [];
  let open: (Call & { depth: number }) | undefined;
  let [at, line] = [0, 1];
  // Until cf.m4 is read, # begins a comment; it ends that.
  let comments = /\binclude\([^)\n]{0,300}cf\.m4/.test(text);
  const move = (to: number) => {
    for (; at < to; at += 1) if (text[at] === "\n") line += 1;
  };
  const add = (part: string) => open?.args.push((open.args.pop() ?? "") + part);
  while (at < text.length) {
    const word = /[A-Za-z_]\w*|[\s\S]/y;
    word.lastIndex = at;
    const [token = ""] = word.exec(text) ?? [];
    if (token === "dnl" || (token === "#" && comments)) {
      const end = text.indexOf("\n", at);
      move(end === -1 ? text.length : end + 1);
    } else if (token === "`") {
      let [end, depth] = [at + 1, 1];
      for (; end < text.length && depth > 0; end += 1)
        depth += text[end] === "`" ? 1 : text[end] === "'" ? -1 : 0;
      if (depth > 0) return { calls, broken: { line, expected: "a ' that closes the ` which begins here" } };
      add(text.slice(at + 1, end - 1));
      move(end);
    } else if (!open) {
      move(at + token.length);
      if (/\w/.test(token) && text[at] === "(") {
        open = { name: token, args: [""], line, depth: 1 };
        at += 1;
      } else if (token.startsWith("LOCAL_")) calls.push({ name: token, args: [], line });
    } else {
      move(at + token.length);
      open.depth += token === "(" ? 1 : token === ")" ? -1 : 0;
      if (open.depth === 0) {
        const { name, args, line: begun } = open;
        if (name === "changequote")
          return { calls, broken: { line: begun, expected: "quotes ` and ', as they are" } };
        if (name === "include" && args[0]?.endsWith("cf.m4")) comments = false;
        else calls.push({ name, args, line: begun });
        open = undefined;
      } else if (token === "," && open.depth === 1) open.args.push("");
      else if (open.args.at(-1) !== "" || !/\s/.test(token)) add(token);
    }
  }
  return open ? { calls, broken: { line: open.line, expected: `a ) that ends ${open.name}(` } } : { calls };
};
