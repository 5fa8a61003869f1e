import { html, raw } from "hono/html";
import { type SentMail, world } from "../../test/world/world.ts";

const begin = Date.UTC(2026, 10, 25, 7, 42);

/** A page of 390 px that shows a mail as a phone's mail program does. */
const onPhone = (mail: SentMail | undefined): string => {
  if (!mail?.html) throw new Error("the bridge made no mail with HTML");
  const { from, to, subject, date, html: body } = mail;
  const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "short", timeZone: "UTC" }).format(date);
  const frame = html`<iframe srcdoc="${body}" title="the mail"></iframe>`;
  return String(html`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<style>
body{margin:0;font:15px/1.4 system-ui,sans-serif;color:#1f2328;background:#fff;height:100vh;display:flex;flex-direction:column}
nav{display:flex;justify-content:space-between;padding:12px 16px;color:#0969da;background:#f6f8fa;border-bottom:1px solid #d0d7de}
header{padding:12px 16px;border-bottom:1px solid #d0d7de}
h1{font-size:18px;margin:0 0 8px;overflow-wrap:anywhere}
.who{display:flex;gap:10px;align-items:center}
.who i{width:36px;height:36px;border-radius:50%;background:#0969da;color:#fff;font:600 17px/36px system-ui,sans-serif;text-align:center}
.who small{color:#59636e;font-size:13px}
.who time{margin-left:auto;align-self:flex-start;color:#59636e;font-size:13px}
iframe{flex:1;border:0;width:100%}
</style>
<nav><span>‹ Inbox</span><span>Reply</span></nav>
<header><h1>${subject}</h1><div class="who"><i>N</i><div><b>${from.name ?? from.address}</b><br><small>to ${to}</small></div><time>${time}</time></div></header>
${raw(frame)}</html>`);
};

/** The first mail of a problem. */
export const problemMail = async (): Promise<string> => {
  const { bridge, mails, tell } = world({ begin });
  await tell("PROBLEM", { host: "web01", service: "HTTP" }, "CRITICAL", {
    output: "CRITICAL - Socket timeout after 10 seconds",
    long_output:
      "GET https://www.example.com/ by 192.0.2.10\nno answer from port 443\nlast good check 07:37:12",
    perfdata: "time=10.001s;2;5;0;10",
  });
  bridge.close();
  return onPhone(mails[0]);
};

/** The digest that tells a contact the rest of a burst: here only the first mail goes out alone. */
export const digestMail = async (): Promise<string> => {
  const { bridge, mails, pass, tell } = world({
    begin,
    policy: { burst: { most: 1, milliseconds: 60_000 } },
  });
  const say = (host: string, service: string | undefined, state: string, output: string) =>
    tell(state === "OK" ? "RECOVERY" : "PROBLEM", { host, service }, state, { output });
  await say("web01", "HTTP", "CRITICAL", "CRITICAL - Socket timeout after 10 seconds");
  await say("db01", "Replication", "CRITICAL", "1843 s behind");
  await say("db01", "Disk /var", "WARNING", "9% free");
  await say("db02", undefined, "DOWN", "CRITICAL - 192.0.2.22: rta nan, lost 100%");
  await say("mail01", "Queue", "WARNING", "412 mails wait");
  await say("mail01", "IMAP", "CRITICAL", "connect to port 993: Connection refused");
  await say("web02", "Certificate", "WARNING", "13 days left");
  await pass(20);
  await say("mail01", "IMAP", "OK", "IMAP OK - 0.012 second response time");
  await pass(60);
  bridge.close();
  return onPhone(mails[1]);
};
