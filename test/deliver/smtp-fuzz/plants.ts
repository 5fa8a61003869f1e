import type { Plant } from "../../simulation/plants.ts";

const wire = "functions/deliver/smtp-wire.ts";
const session = "functions/deliver/smtp-session.ts";
const transport = "functions/deliver/smtp.ts";

/** Faults of the SMTP client. Each must be found by the fuzz, or that would find no such fault of ours either. */
export const plants: Record<string, Plant> = {
  "takes-surplus": {
    breaks: "a reply that nobody asked for is the answer to the next command",
    file: wire,
    text: "const asked = owed > 0;",
    instead: "const asked = true;",
  },
  "takes-half-a-surplus": {
    breaks: "a reply that has begun before its command is the answer to it",
    file: wire,
    text: "if (owed === 0 && reader.midway()) throw outOfStep();",
    instead: "",
  },
  "reads-without-limit": {
    breaks: "a reply without an end is kept for ever",
    file: wire,
    text: "if (bytes > mostReplyBytes)",
    instead: "if (bytes < 0)",
  },
  "lines-disagree": {
    breaks: "of a reply whose lines have different codes the last counts",
    file: wire,
    text: "if (code === undefined || (lines[0] ?? code).slice(0, 3) !== code)",
    instead: "if (code === undefined)",
  },
  "any-code": {
    breaks: "a line that begins with three digits is a reply",
    file: wire,
    text: "/^([2-5]\\d\\d)([ -]|$)/",
    instead: "/^(\\d\\d\\d)(.|$)/",
  },
  "deaf-to-abort": {
    breaks: "a wait goes on when the attempt's time is over",
    file: wire,
    text: 'signal.addEventListener("abort", giveUp);',
    instead: "",
  },
  "lone-dots": {
    breaks: "a line that begins with a dot is not doubled",
    file: wire,
    text: '.replace(/^\\./gm, "..")',
    instead: "",
  },
  "login-in-clear": {
    breaks: "a relay that is configured with STARTTLS is spoken to in clear",
    file: session,
    text: 'if (protection !== "starttls") return;',
    instead: "return;",
  },
  "extensions-of-before": {
    breaks: "after STARTTLS there is no second EHLO",
    file: session,
    text: "await startTls();\n      await greet();",
    instead: "await startTls();",
  },
  "strongest-last": {
    breaks: "of the mechanisms offered the relay's first is used, not ours",
    file: session,
    text: "return relay.auth.find((each) => names.includes(each));",
    instead: "return names.find((each) => relay.auth.includes(each as Mechanism)) as Mechanism | undefined;",
  },
  "pipelines-unasked": {
    breaks: "commands go out together though the relay does not offer it",
    file: session,
    text: 'const pipelined = offered("PIPELINING") !== undefined;',
    instead: "const pipelined = true;",
  },
  "any-3yz-to-data": {
    breaks: "content follows another reply than 354",
    file: session,
    text: '["data", "DATA", "354"]',
    instead: '["data", "DATA", "3"]',
  },
  "content-for-nobody": {
    breaks: "content follows 354 though RCPT was refused",
    file: session,
    text: "expected(reply, wanted);",
    instead: 'if (at !== "recipient") expected(reply, wanted);',
  },
  "any-reply-to-the-dot": {
    breaks: "a refusal of the content is a success",
    file: session,
    text: 'const reply = expected(await wire.reply(signal, replyMilliseconds), "2");',
    instead: "const reply = await wire.reply(signal, replyMilliseconds);",
  },
  "accepted-before-the-dot": {
    breaks: "a reply to the dot counts before the dot has left",
    file: session,
    text: "if (!wire.unsent()) return reply.text;",
    instead: "return reply.text;",
  },
  "forgets-lost-after-data": {
    breaks: "a mail whose reply was lost counts as not taken",
    file: session,
    text: 'reached("after-data");',
    instead: "",
  },
  "beyond-limits": {
    breaks: "a session carries more mails than LIMITS says",
    file: session,
    text: '&& mails < mostMailsOf(offered("LIMITS"))',
    instead: "",
  },
  "tells-secrets": {
    breaks: "a refusal that repeats the password is told with it",
    file: session,
    text: "throw new SessionError(at, safe(reply.text), reply.code);",
    instead: "throw new SessionError(at, reply.text, reply.code);",
  },
  "nobody-catches-quit": {
    breaks: "a QUIT that fails is a rejection that nobody handles",
    file: session,
    text: "leave.catch(() => undefined).finally(wire.close);",
    instead: "leave.finally(wire.close);",
  },
  "keeps-what-refused": {
    breaks: "a session that refused carries the next mail",
    file: transport,
    text: "if (session && ready && forNext) park(session, 0);",
    instead: "if (session && ready) park(session, 0);",
  },
  "no-reset": {
    breaks: "a mail begins in the transaction of the one before",
    file: transport,
    text: "if (clock() >= freshUntil) await session.reset(signal);",
    instead: "",
  },
  "sends-again": {
    breaks: "content whose reply was lost goes out once more",
    file: transport,
    text: '["sender", "recipient", "data"].includes(error.step)',
    instead: '["sender", "recipient", "data", "after-data"].includes(error.step)',
  },
  "leaves-open": {
    breaks: "a connection that is used up is never closed",
    file: transport,
    text: "else if (session && ready) leave(session);\n        else session?.close();",
    instead: "",
  },
};
