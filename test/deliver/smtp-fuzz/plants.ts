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
  "waits-without-limit": {
    breaks: "nothing but the attempt's time ends the wait for a reply",
    file: wire,
    text: "const timer = setTimeout(giveUp, milliseconds);",
    instead: "const timer = undefined;",
  },
  "leaves-timers": {
    breaks: "the limit of a wait stays when its reply has come",
    file: wire,
    text: "clearTimeout(timer);",
    instead: "",
  },
  "tls-before-the-reply": {
    breaks: "TLS is begun before the relay has answered STARTTLS",
    file: wire,
    text: "if (last === 220 && owed === 0) handOver?.();",
    instead: "if (last === 220) handOver?.();",
  },
  "tells-half-a-secret": {
    breaks: "a refusal that repeats the password without its end is told with it",
    file: "functions/deliver/printable.ts",
    text: ".reduce(withoutForm, text);",
    instead: '.reduce((safe, form) => safe.replaceAll(form, "[redacted]"), text);',
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
    text: 'const pipelined = !oneByOne && offered("PIPELINING") !== undefined;',
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
    text: 'expected(reply, "2");\n    if (early)',
    instead: "if (early)",
  },
  "accepted-before-the-dot": {
    breaks: "a reply to the dot counts before the dot has left",
    file: session,
    text: "const early = await wire.unsent();",
    instead: "const early = false;",
  },
  "ends-what-is-refused": {
    breaks: "content that is refused before it has left comes to its end",
    file: session,
    text: "if (early) wire.close();",
    instead: "",
  },
  "any-size": {
    breaks: "a SIZE in another form than RFC 1870's is a limit",
    file: session,
    text: 'if (/^[1-9]\\d{0,19}$/.test(size ?? "") &&',
    instead: "if (Number(size) > 0 &&",
  },
  "keeps-what-is-out-of-step": {
    breaks: "a group whose DATA is neither refused nor taken does not end the session",
    file: session,
    text: "if (last && (last.code < 400 || last.code === 421)) wire.close();",
    instead: "",
  },
  "waits-for-the-dead": {
    breaks: "a connection that is over before the client listens is waited for",
    file: wire,
    text: "if (socket.destroyed) closed();\n  else if",
    instead: "if",
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
    text: "&& mails < mostMails && ",
    instead: "&& ",
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
