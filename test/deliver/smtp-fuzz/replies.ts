/** The duties of a client toward a reply (RFC 5321 §4.2): it takes a good one, may take an odd one, and leaves a bad one. */
export type Quality = "good" | "odd" | "bad";
export type Reply = { code: number; quality: Quality; lines: string[] };

/** RFC 5321 §4.5.3.1.5 of a line; a hundred lines are more than any real relay's. */
const most = { line: 512, lines: 100 };

const qualityOf = (line: string): Quality => {
  const text = line.replace(/\r?\n$/, "");
  if (!/^[2-5]\d\d(?:[ -].*)?$/s.test(text)) return "bad";
  const plain = /^[2-5][0-5]\d(?:[ -][\t\x20-\x7e]*)?\r\n$/.test(line);
  return plain && line.length <= most.line ? "good" : "odd";
};

const worse = (one: Quality, other: Quality): Quality =>
  one === "bad" || other === "bad" ? "bad" : one === "odd" || other === "odd" ? "odd" : "good";

/** Puts a relay's bytes together to replies: `began` is told of the first byte of each, `ended` of the whole. */
export const replyReader = (began: () => void, ended: (reply: Reply) => void) => {
  let parts: string[] = [];
  let lines: string[] = [];
  let quality: Quality = "good";
  const line = (text: string) => {
    lines.push(text.replace(/\r?\n$/, ""));
    quality = worse(quality, qualityOf(text));
    const [first = "", last = ""] = [lines[0], lines.at(-1)];
    if (quality !== "bad" && first.slice(0, 3) !== last.slice(0, 3)) quality = "bad";
    if (lines.length > most.lines) quality = worse(quality, "odd");
    if (quality !== "bad" && last[3] === "-") return;
    const reply = { code: quality === "bad" ? 0 : Number(last.slice(0, 3)), quality, lines };
    [lines, quality] = [[], "good"];
    ended(reply);
  };
  return (bytes: string) => {
    for (let start = 0; start < bytes.length; ) {
      if (parts.length === 0 && lines.length === 0) began();
      const end = bytes.indexOf("\n", start);
      parts.push(bytes.slice(start, end < 0 ? undefined : end + 1));
      if (end < 0) return;
      start = end + 1;
      const whole = parts.join("");
      parts = [];
      line(whole);
    }
  };
};

/** The parameters of an extension that an EHLO reply lists (RFC 5321 §4.1.1.1), line by line. */
export const parametersOf = ({ lines }: Reply, keyword: string): string[][] =>
  lines
    .slice(1)
    .map((line) =>
      line
        .slice(4)
        .split(/[^!-~]|=/)
        .filter(Boolean),
    )
    .filter(([first]) => first?.toUpperCase() === keyword)
    .map(([, ...rest]) => rest.map((word) => word.toUpperCase()));
