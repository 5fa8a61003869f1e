/** One sentence that is hard to read: where it is, and the rule that it breaks. */
export type Finding = { line: number; rule: string; sentence: string };

const mostWords = 30;

/** Words and turns that house style replaces by usual ones. */
const rules: readonly [rule: string, pattern: RegExp][] = [
  ["a sentence begins with Who, Whoever or What in place of a noun", /^(Who|Whoever|What)\b(?!.*\?$)/],
  ["a sentence begins with Of", /^Of\b(?! course\b)/],
  [
    "a sentence begins with That in place of a noun",
    /^That (a|an|the|it|they|this|no|nothing|nobody|one|our|its)\b/,
  ],
  ['"wants": say needs or requires', /\bwants?\b/],
  ['"of no use", "out of use": say down, or has no effect', /\b(of no|out of) use\b/],
  [
    '"at peace", "what is no", "who is not", "nobody need": say it with a subject',
    /\b(at peace|what is no|who is not|nobody need)\b/,
  ],
];

/** What is wrong with one sentence, if anything. Code counts as one word. */
export const faultsOf = (sentence: string): string[] => {
  const plain = sentence.replace(/`[^`]*`/g, "code").trim();
  const found = rules.flatMap(([rule, pattern]) => (pattern.test(plain) ? [rule] : []));
  const words = plain.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word)).length;
  return words > mostWords ? [...found, `${words} words in a sentence`] : found;
};

/** The sentences of a text. A colon, a semicolon and a dot end one before a blank; so does an indented line. */
export const sentencesOf = (text: string): string[] =>
  text
    .replace(/\b(e\.g|i\.e|etc|vs|RFC \d+ §[\d.]+)\./g, "$1")
    .replaceAll("\\n", " \n ")
    .split(/(?<=[.!?:;])["'”)]*\s+(?=\S)|\n+ {2,}/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => /\p{L}/u.test(sentence));

type Text = { line: number; text: string };

/** The paragraphs, list items and cells of a page in Markdown, without its code. */
export const textsOfMarkdown = (page: string): Text[] => {
  const texts: Text[] = [];
  let inCode = false;
  let current: Text | undefined;
  const end = () => {
    if (current) texts.push(current);
    current = undefined;
  };
  for (const [index, line] of page.split("\n").entries()) {
    if (/^\s*```/.test(line)) {
      inCode = !inCode;
      end();
    } else if (inCode || (/^ {4,}\S/.test(line) && !current) || line.trim() === "" || /^#|^!\[/.test(line))
      end();
    else if (line.startsWith("|")) {
      end();
      for (const cell of line.split("|")) texts.push({ line: index + 1, text: cell.trim() });
    } else if (/^\s*([-*]|\d+\.) /.test(line) || !current) {
      end();
      current = { line: index + 1, text: line.replace(/^\s*([-*]|\d+\.) /, "").trim() };
    } else current.text += ` ${line.trim()}`;
  }
  end();
  return texts.map(({ line, text }) => ({ line, text: text.replace(/\*\*|\[|\]\([^)]*\)/g, "") }));
};

/** The comments of a file in TypeScript, each as one text, and the texts in quotes that read as a sentence. */
export const textsOfCode = (code: string): Text[] => {
  const texts: Text[] = [];
  const lineOf = (index: number) => code.slice(0, index).split("\n").length;
  for (const { 0: comment, index } of code.matchAll(
    /\/\*\*[\s\S]*?\*\/|(?:^[ \t]*\/\/(?! biome-ignore).*\n)+/gm,
  )) {
    const text = comment.replace(/^\s*(\/\*\*|\*\/|\*|\/\/)|\*\/$/gm, " ").replace(/\s+/g, " ");
    texts.push({ line: lineOf(index), text });
  }
  for (const { 0: quoted, index } of code.matchAll(/"[^"\n\\]*(?:\\.[^"\n\\]*)*"|`[^`]*`/g))
    if (/^.[A-Z][a-z]* .*[a-z].*[.?!].$/s.test(quoted))
      texts.push({ line: lineOf(index), text: quoted.slice(1, -1) });
  return texts;
};

/** The names of a file's tests, each as one sentence with the names of the `describe` around it. */
export const textsOfTests = (code: string): Text[] => {
  const around: { indent: number; name: string }[] = [];
  const names = /^( *)(?:(it|describe)(?:\.\w+)*\(|.*\)\()\s*("(?:[^"\\\n]|\\.)*"|`[^`]*`),/gm;
  return [...code.matchAll(names)].map(({ 1: indentation = "", 2: call, 3: quoted = "", index }) => {
    const [indent, name] = [indentation.length, quoted.slice(1, -1)];
    while (around.some((one) => one.indent >= indent)) around.pop();
    const text = [...around.map((one) => one.name), name].join(" ");
    if (call !== "it") around.push({ indent, name });
    return {
      line: code.slice(0, index).split("\n").length,
      text: `${text.charAt(0).toUpperCase()}${text.slice(1)}.`,
    };
  });
};

/** The findings in some texts. */
export const findingsIn = (texts: readonly Text[]): Finding[] =>
  texts.flatMap(({ line, text }) =>
    sentencesOf(text).flatMap((sentence) => faultsOf(sentence).map((rule) => ({ line, rule, sentence }))),
  );
