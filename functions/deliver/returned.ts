/** The kinds of returned mail: it bounced or is late, its reader called it spam, or SES found a virus in it. */
export const returnKinds = ["bounce", "delay", "complaint", "reject"] as const;

/** A report about a mail that a relay or SES had taken. */
export type Returned = {
  at: number;
  kind: (typeof returnKinds)[number];
  contact: string;
  reply: string;
  /** A bounce that the next mail will meet too. */
  permanent?: true;
};
