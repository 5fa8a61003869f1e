import { expect, it } from "vitest";
import { providerOf } from "../../../scripts/hardstate/domain/providers.ts";

it.each([
  ["smtp.office365.com", "Microsoft 365"],
  ["example-com.mail.protection.outlook.com", "Microsoft 365"],
  ["SMTP-relay.gmail.com", "Google"],
  ["smtp.protonmail.ch", "Proton"],
  ["mail.gandi.net", "Gandi"],
  ["ssl0.ovh.net", "OVH"],
  ["pro1.mail.ovh.net", "OVH"],
  ["smtp.yandex.com.tr", "Yandex"],
  ["email-smtp.eu-west-1.amazonaws.com", "Amazon SES"],
  ["smtp.sendgrid.net", "SendGrid"],
  ["in-v3.mailjet.com", "Mailjet"],
  ["smtp.postmarkapp.com", "Postmark"],
  ["smtp.eu.sparkpostmail.com", "SparkPost"],
  ["mail.smtp2go.com", "SMTP2GO"],
])("the relay %s is run by %s", (host, name) => {
  expect(providerOf(host)?.name).toBe(name);
});

it.each([
  // A customer's own machine, which the provider's SPF record does not cover.
  "vps-1a2b3c4d.vps.ovh.net",
  "ec2-192-0-2-9.eu-west-1.compute.amazonaws.com",
  "smtp.office365.com.example.com",
  "relay.example.com",
])("nothing is said of the provider of %s", (host) => {
  expect(providerOf(host)).toBeUndefined();
});
