import type { Draw } from "../../simulation/draws.ts";
import type { Due } from "./judge.ts";

/** The acts of a relay, one after the other; the client comes to rest in between. */
export type Act = string | { endless: string } | "END" | "RESET" | "ABORT" | "QUIET" | "RELEASE";

/** A way to misbehave where `honest` is the reply that is due. */
type Deviation = (draw: Draw, honest: string, due: Due) => Act[];

const bytes = (draw: Draw): string => {
  const alphabet = draw.of([
    () => String.fromCharCode(draw.between(0, 256)),
    () => draw.of(["2", "5", "0", "3", "4", "-", " ", "\r\n", "\n", "\r", "a"]),
    () => draw.of(["250", "354", "220", "235", "334", "421", "550", "-", " ", "\r\n", " ok\r\n", "\0"]),
  ]);
  return Array.from({ length: draw.of([1, 2, 3, 5, 8, 20, 80, 300]) }, alphabet).join("");
};
const codes =
  "000 100 199 200 211 214 220 221 235 250 251 252 259 299 300 334 354 399 400 421 432 450 451 452 454 455 500 501 502 503 504 530 534 535 538 550 551 552 553 554 555 571 599 600 999".split(
    " ",
  );
const recode = (reply: string, code: string) => reply.replaceAll(/^\d{3}/gm, code);
const enhanced = (draw: Draw, code: string) =>
  draw.of(["", ` ${code[0]}.${draw.between(0, 8)}.${draw.between(0, 300)}`]);
const one = (draw: Draw, code = draw.of(codes)) =>
  `${code}${enhanced(draw, code)} ${draw.of(["no", "try later", "Ok", "<ops@example.org>: unknown user"])}\r\n`;
const good = [
  "220 x\r\n",
  "250 2.0.0 Ok\r\n",
  "235 2.7.0 ok\r\n",
  "354 go\r\n",
  "334 \r\n",
  "250-a\r\n250 b\r\n",
];
const ends = (draw: Draw): Act => draw.of(["END", "RESET"] as const);
const words = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** Lines in an EHLO reply that no client expects. */
const ehloLines = (draw: Draw): string[] =>
  draw.of([
    () => Array.from({ length: draw.of([90, 2000, 6000]) }, (_, index) => `X${words[index % 26]}${index}`),
    () => [
      `SIZE ${draw.of(["0", "1", "10", "1500", "-1", "99999999999999999999999", "1e3", "abc", "0x10", "", " 12", "1 2"])}`,
    ],
    () => [
      `LIMITS ${draw.of(["MAILMAX=1", "MAILMAX=2", "MAILMAX=0", "MAILMAX=-1", "MAILMAX=1e9", "MAILMAX=", "MAILMAX", "MAILMAX=99999999999999999999", "RCPTMAX=1 MAILMAX=1", "RCPTMAX=0", "=", "MAILMAX=1;2"])}`,
    ],
    () => ["pipelining", "size 0", "auth plain login", "8bitmime"],
    () => ["PIPELINING ", "XPIPELINING", "PIPELININGX", " PIPELINING"].slice(draw.between(0, 4)),
    () => ["AUTH=PLAIN LOGIN", "AUTH", "AUTH ", "AUTH PLAINX", "AUTH-PLAIN"].slice(draw.between(0, 5)),
    () => [`X${"y".repeat(draw.of([500, 600, 4000, 70_000]))}`],
    () => ["STARTTLS", "STARTTLS REQUIRED", "DSN", "SMTPUTF8", "CHUNKING", "BINARYMIME", "REQUIRETLS"],
    () => [
      `AUTH ${draw.of(["XOAUTH2", "CRAM-MD5", "GSSAPI NTLM", "LOGIN", "plain", "PLAIN LOGIN CRAM-MD5"])}`,
    ],
    () => [`\x1b]0;x\x07\x00${String.fromCharCode(draw.between(128, 256))}`],
  ])();

const challenges = [
  "334 \r\n",
  "334\r\n",
  "334 not base64 !!\r\n",
  "334 ====\r\n",
  "334 \xff\xfe\r\n",
  "334 VXNlcm5hbWU6\r\n",
  "334 UGFzc3dvcmQ6\r\n",
  "334 PDEyMy40NTZAcmVsYXk+\r\n",
  "334-a\r\n334 b\r\n",
  `334 ${"A".repeat(3000)}\r\n`,
  "334 eyJzdGF0dXMiOiI0MDAifQ==\r\n",
  "334 DQpSQ1BUIFRPOjx4QHk+DQo=\r\n",
];

export const deviations: Record<string, Deviation> = {
  bytes: (draw, honest) =>
    draw.of<Act[]>([[bytes(draw)], [bytes(draw), honest], [honest + bytes(draw)], [honest, bytes(draw)]]),
  code: (draw, honest) => [recode(honest, draw.of(codes))],
  refused: (draw) => [
    one(
      draw,
      draw.of(["421", "450", "451", "452", "454", "500", "503", "530", "535", "550", "552", "553", "554"]),
    ),
  ],
  "refused, then close": (draw) => [one(draw), ends(draw)],
  disagree: (draw, honest) => {
    const [code, other] = [honest.slice(0, 3), draw.of(codes)];
    return draw.of<Act[]>([
      [`${code}-a\r\n${other} b\r\n`],
      [`${other}-a\r\n${code} b\r\n`],
      [`${code}-a\r\n${other}-b\r\n${code} c\r\n`],
      [`${code}-a\r\n`, `${other} b\r\n`],
    ]);
  },
  malformed: (draw, honest) => {
    const [code, text] = [honest.slice(0, 3), "ok"];
    return [
      draw.of([
        `${code}\r\n`,
        `${code}\n`,
        `${code}${text}\r\n`,
        `${code}\t${text}\r\n`,
        ` ${code} ${text}\r\n`,
        `${code.slice(0, 2)}\r\n`,
        `${code}0 ${text}\r\n`,
        `${code}_${text}\r\n`,
        `${text}\r\n${honest}`,
        `\r\n${honest}`,
        `${code}-${text}\r\n\r\n${code} ${text}\r\n`,
        `${code}-${text}\r\nnot a reply\r\n${code} ${text}\r\n`,
        `${code}-${text}\r\n`,
        "\0\0\0\0\r\n",
      ]),
    ];
  },
  controls: (draw, honest) => {
    const odd = draw.of([
      "\0",
      "\x07",
      "\x1b[2J",
      "\x7f",
      "\xe9",
      "\xff",
      "\xc3\xa9",
      "\x85",
      "\xe2\x80\xa8",
      "\t",
      "\b",
    ]);
    const at = draw.between(0, honest.length);
    return [honest.slice(0, at) + odd + honest.slice(at)];
  },
  "line ends": (draw, honest) => [
    honest.replaceAll("\r\n", draw.of(["\n", "\r", "\n\r", "\r\r\n", "\r\n\n", "\0\r\n", "\r \n"])),
  ],
  long: (draw, honest) => {
    const code = honest.slice(0, 3);
    const line = `${code}-${"x".repeat(draw.of([10, 500, 5000]))}\r\n`;
    return [line.repeat(draw.of([1, 50, 200])) + honest];
  },
  endless: (draw, honest) => {
    const code = honest.slice(0, 3);
    return [
      {
        endless: draw.of([
          "x",
          "\0",
          `${code}-more\r\n`,
          `${code} ok\r\n`,
          "\r\n",
          "250-",
          `${code} ${"x".repeat(999)}`,
          "\n",
          "\r",
        ]),
      },
    ];
  },
  early: (draw, honest) =>
    draw.of<Act[]>([[honest + draw.of(good)], [honest + one(draw)], [honest + good.join("")]]),
  surplus: (draw, honest) =>
    draw.of<Act[]>([
      [honest, draw.of(good)],
      [honest, one(draw)],
      [honest, draw.of(good), draw.of(good)],
      [honest, "2"],
    ]),
  "both ways": (draw, honest) => [draw.of([draw.of(good) + honest, one(draw) + honest])],
  missing: (draw) => draw.of<Act[]>([["QUIET"], [ends(draw)]]),
  "late by one": (_, honest) => ["QUIET", honest],
  cut: (draw, honest) => [
    honest.slice(0, draw.between(0, honest.length + 1)),
    draw.of<Act>([ends(draw), ends(draw), "QUIET"]),
  ],
  abort: (draw, honest) =>
    draw.of<Act[]>([
      ["ABORT", honest],
      [honest.slice(0, draw.between(0, honest.length)), "ABORT", honest],
      ["ABORT"],
    ]),
  ehlo: (draw, honest) => {
    const lines = honest
      .split("\r\n")
      .filter(Boolean)
      .map((line) => line.slice(4));
    const added = ehloLines(draw);
    const all = draw.chance(0.5) ? [...lines, ...added] : [...lines.slice(0, 1), ...added, ...lines.slice(1)];
    return [all.map((line, index) => `250${index === all.length - 1 ? " " : "-"}${line}\r\n`).join("")];
  },
  echo: (draw, honest, { line }) => {
    const word = line.split(" ").at(-1) ?? "";
    const plain = Buffer.from(word, "base64")
      .toString("latin1")
      .replaceAll(/\p{Cc}/gu, " ");
    const code = draw.of(["535", "454", "501", "421", "334", honest.slice(0, 3)]);
    return [
      `${code} ${draw.of([line, word, plain, `-> ${plain} <-`, word.slice(0, -4), plain.slice(0, -2)])}\r\n`,
    ];
  },
  challenge: (draw) => [draw.of(challenges)],
};

/** Acts of a relay that nobody asks for, while a session is idle or while content is on its way. */
export const unasked = (draw: Draw): Act[] =>
  draw.of<() => Act[]>([
    () => ["421 4.4.2 timeout\r\n", "END"],
    () => ["421 4.4.2 timeout\r\n"],
    () => [draw.of(good)],
    () => [one(draw)],
    () => [bytes(draw)],
    () => ["2"],
    () => [draw.of(good), draw.of(good)],
    () => ["END"],
    () => ["RESET"],
    () => [{ endless: draw.of(["250 ok\r\n", "x", "250-"]) }],
  ])();
