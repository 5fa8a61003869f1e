/** A provider whose relays are known by name. */
export type Provider =
  | {
      name: string;
      ownEnvelope: false;
      /** Each of these SPF includes covers the provider. The first is advised. */
      includes: readonly [string, ...string[]];
    }
  /** It replaces the envelope sender by one of its own, or of a domain that is set up there. */
  | { name: string; ownEnvelope: true };

const ownEnvelope = (name: string): Provider => ({ name, ownEnvelope: true });
const covered = (name: string, ...includes: [string, ...string[]]): Provider => ({
  name,
  ownEnvelope: false,
  includes,
});

/** Above each row stands the provider's own page that says so, as it was in November 2026. */
const known: readonly [hosts: RegExp, provider: Provider][] = [
  // https://learn.microsoft.com/defender-office-365/email-authentication-spf-configure
  [
    /\.office365\.com$|\.mail\.protection\.outlook\.com$|\.mx\.microsoft$/,
    covered("Microsoft 365", "spf.protection.outlook.com"),
  ],
  // https://support.google.com/a/answer/10684623
  [/^smtp(-relay)?\.(gmail|googlemail)\.com$|^aspmx\.l\.google\.com$/, covered("Google", "_spf.google.com")],
  // https://proton.me/support/anti-spoofing-custom-domain
  [/^smtp\.(protonmail\.ch|proton\.me)$/, covered("Proton", "_spf.protonmail.ch")],
  // https://helpdesk.gandi.net/hc/en-us/articles/14001808469404-What-is-an-SPF-record
  [/^mail\.gandi\.net$/, covered("Gandi", "_mailcust.gandi.net")],
  // https://github.com/ovh/docs/tree/develop/pages/web_cloud/domains/dns_zone_spf (guides of Europe and of Canada)
  [/^(ssl0|[a-z0-9-]+\.mail)\.ovh\.net$/, covered("OVH", "mx.ovh.com", "mx.ovh.ca")],
  // https://yandex.com.tr/support/connect/dns/spf.html
  [/^smtp\.yandex\.[a-z.]+$/, covered("Yandex", "_spf.yandex.net")],
  // https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-spf.html
  [/^email-smtp[.-].*\.amazonaws\.com$/, ownEnvelope("Amazon SES")],
  // https://www.twilio.com/docs/sendgrid/api-reference/domain-authentication/authenticate-a-domain
  [/^smtp(\.eu)?\.sendgrid\.net$/, ownEnvelope("SendGrid")],
  // https://www.mailjet.com/blog/deliverability/mailjet-dmarcbis-is-dead-long-live-dmarc/
  [/\.mailjet\.com$/, ownEnvelope("Mailjet")],
  // https://postmarkapp.com/blog/introducing-full-dmarc-support-with-custom
  [/^smtp(-broadcasts)?\.postmarkapp\.com$/, ownEnvelope("Postmark")],
  // https://www.sparkpost.com/docs/tech-resources/custom-bounce-domain/
  [/\.sparkpostmail\.com$/, ownEnvelope("SparkPost")],
  // https://www.smtp2go.com/blog/spf-record
  [/\.smtp2go\.com$/, ownEnvelope("SMTP2GO")],
];

/** The provider that runs a relay, if the relay's name tells. */
export const providerOf = (host: string): Provider | undefined =>
  known.find(([hosts]) => hosts.test(host.toLowerCase()))?.[1];
