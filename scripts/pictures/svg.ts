/** Text as XML may hold it. */
export const escaped = (words: string): string =>
  words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** A line of text; `marked` if it is markup already. */
export const text = (x: number, y: number, words: string, className = "", marked = false): string =>
  `<text x="${x}" y="${y}"${className && ` class="${className}"`}>${marked ? words : escaped(words)}</text>`;

type Drawing = { width: number; height: number; title: string; body: string };

const drawn = ({ width, height, title, body }: Drawing, style: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(title)}</title>
<style>
${style}
</style>
${body}
</svg>
`;

const light = `.ground{fill:#fff;stroke:#d0d7de} text{fill:#1f2328} .quiet{fill:#59636e} .lane{stroke:#d0d7de} .box{fill:#f6f8fa;stroke:#d0d7de}
.core{fill:#ddf4ff;stroke:#0969da} .way{stroke:#0969da} .stopped,.end{stroke:#8c959f} .bad{fill:#cf222e} .good{fill:#1a7f37} .mail{fill:#0969da} .flap{stroke:#fff}`;
const dark = `.ground{fill:#0d1117;stroke:#3d444d} text{fill:#f0f6fc} .quiet{fill:#9198a1} .lane{stroke:#3d444d} .box{fill:#151b23;stroke:#3d444d}
.core{fill:#121d2f;stroke:#4493f8} .way{stroke:#4493f8} .stopped,.end{stroke:#656c76} .bad{fill:#f85149} .good{fill:#3fb950} .mail{fill:#4493f8} .flap{stroke:#0d1117}`;

/** A drawing on a ground of its own, light or dark as the reader's browser is, so that any page may hold it. */
export const panel = (drawing: Drawing): string =>
  drawn(
    {
      ...drawing,
      body: `<rect class="ground" x=".5" y=".5" width="${drawing.width - 1}" height="${drawing.height - 1}" rx="8"/>\n${drawing.body}`,
    },
    `text{font:14px system-ui,-apple-system,"Segoe UI",sans-serif} .small{font-size:13px} .head{font-size:17px;font-weight:600} .strong{font-weight:600} .middle{text-anchor:middle}
.way,.end,.lane,.flap{fill:none;stroke-width:2} .stopped{stroke-dasharray:4 4} .flap{stroke-width:1.5}
${light}
@media (prefers-color-scheme: dark){
${dark}
}`,
  );

/** One line of a terminal. A line that the reader typed begins with "$ ". */
export type TerminalLine = {
  words: string;
  tone?: "typed" | "good" | "bad" | "quiet";
  /** The tone of the first word alone. */
  first?: "good";
  /** Seconds after which it appears; there from the beginning if absent. */
  at?: number;
};
/** A terminal with a name, and its lines from the top. */
export type Terminal = { name: string; lines: readonly TerminalLine[] };

const characterWidth = 7.8;
const lineHeight = 19;
const widthOf = (columns: number): number => Math.round(columns * characterWidth + 40);

/** A line as a terminal of this width shows it: it breaks a long one anywhere. */
const wrapped = (line: TerminalLine, columns: number): TerminalLine[] =>
  (line.words.match(new RegExp(`.{1,${columns}}`, "gsu")) ?? [""]).map((words, index) => ({
    ...line,
    words,
    first: index === 0 ? line.first : undefined,
  }));

const windowOf = (
  { name, lines }: Terminal,
  y: number,
  columns: number,
): { drawn: string; height: number } => {
  const width = widthOf(columns);
  const all = lines.flatMap((line) => wrapped(line, columns));
  const height = 58 + all.length * lineHeight;
  const rows = all.map(({ words, tone, first, at }, index) => {
    if (words.trim() === "") return "";
    const classes = [tone, at !== undefined && "step"].filter(Boolean).join(" ");
    const delay = at === undefined ? "" : ` style="animation-delay:${at}s"`;
    const length = ([...words].length * characterWidth).toFixed(1);
    const marked = escaped(words).replace(/^ *\S+/, (word) =>
      first ? `<tspan class="${first}">${word}</tspan>` : word,
    );
    return `<text x="20" y="${y + 56 + index * lineHeight}" textLength="${length}" lengthAdjust="spacingAndGlyphs" xml:space="preserve"${classes && ` class="${classes}"`}${delay}>${marked}</text>`;
  });
  return {
    height,
    drawn: [
      `<rect class="screen" x=".5" y="${y + 0.5}" width="${width - 1}" height="${height - 1}" rx="8"/>`,
      ...[0, 1, 2].map((n) => `<circle class="button" cx="${22 + n * 18}" cy="${y + 19}" r="5.5"/>`),
      `<text class="name" x="${width / 2}" y="${y + 24}">${escaped(name)}</text>`,
      ...rows.filter(Boolean),
    ].join("\n"),
  };
};

/** Terminals one below the other, dark on any page. Lines with a time appear one after the other, once. */
export const terminals = (title: string, columns: number, all: readonly Terminal[]): string => {
  let y = 0;
  const body: string[] = [];
  for (const one of all) {
    const window = windowOf(one, y, columns);
    body.push(window.drawn);
    y += window.height + 12;
  }
  return drawn(
    { width: widthOf(columns), height: y - 12, title, body: body.join("\n") },
    `.screen{fill:#0d1117;stroke:#3d444d} .button{fill:#3d444d} text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d1d7e0;white-space:pre}
.name{fill:#9198a1;text-anchor:middle} .typed{fill:#fff;font-weight:600} .good{fill:#56d364} .bad{fill:#ff7b72} .quiet{fill:#9198a1}
.step{animation:appear .3s both} @keyframes appear{from{opacity:0}to{opacity:1}}
@media (prefers-reduced-motion: reduce){.step{animation:none}}`,
  );
};
