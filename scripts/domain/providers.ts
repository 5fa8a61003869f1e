/** A provider whose relays are known by name. */
export type Provider = {
  name: string;
  /** SPF includes of which one covers it; the first is advised. */
  includes: readonly string[];
  /** It puts an envelope sender of its own into each mail, unless a domain for that is set up there. */
  ownEnvelope: boolean;
};

const provider = (name: string, hosts: RegExp, includes: readonly string[], ownEnvelope = false) => ({
  hosts,
  provider: { name, includes, ownEnvelope },
});

// Each from the provider's own help pages on SPF.
const known: readonly { hosts: RegExp; provider: Provider }[] = [
  provider("Microsoft 365", /\.office365\.com$|\.mail\.protection\.outlook\.com$|\.mx\.microsoft$/, [
    "spf.protection.outlook.com",
  ]),
  provider("Google", /^smtp(-relay)?\.(gmail|googlemail)\.com$|^aspmx\.l\.google\.com$/, ["_spf.google.com"]),
  provider("Amazon SES", /^email-smtp[.-].*\.amazonaws\.com$/, ["amazonses.com"], true),
  provider("SendGrid", /^smtp(\.eu)?\.sendgrid\.net$/, ["sendgrid.net"], true),
  provider("Mailgun", /^smtp(\.eu)?\.mailgun\.org$/, ["mailgun.org", "eu.mailgun.org"], true),
  provider("Mailjet", /\.mailjet\.com$/, ["spf.mailjet.com"], true),
  provider("Brevo", /^smtp-relay\.(brevo|sendinblue)\.com$/, ["spf.brevo.com", "spf.sendinblue.com"], true),
  provider("Postmark", /^smtp(-broadcasts)?\.postmarkapp\.com$/, ["spf.mtasv.net"], true),
  provider("SparkPost", /\.sparkpostmail\.com$/, ["sparkpostmail.com"], true),
  provider("SMTP2GO", /\.smtp2go\.com$/, ["spf.smtp2go.com"], true),
  provider("Zoho", /^smtp(pro)?\.zoho\.[a-z.]+$/, [
    "zohomail.com",
    "zoho.com",
    "zoho.eu",
    "zohomail.eu",
    "zoho.in",
    "zohomail.in",
    "one.zoho.com",
    "one.zoho.eu",
  ]),
  provider("Fastmail", /^smtp\.fastmail\.com$/, ["spf.messagingengine.com"]),
  provider("Proton", /^smtp\.(protonmail\.ch|proton\.me)$/, ["_spf.protonmail.ch"]),
  provider("Gandi", /^mail\.gandi\.net$/, ["_mailcust.gandi.net"]),
  provider("OVH", /\.ovh\.net$/, ["mx.ovh.com", "mx.ovh.ca"]),
  provider("Yandex", /^smtp\.yandex\.[a-z.]+$/, ["_spf.yandex.net"]),
];

/** Who runs a relay, if its name tells. */
export const providerOf = (host: string): Provider | undefined =>
  known.find(({ hosts }) => hosts.test(host.toLowerCase()))?.provider;
