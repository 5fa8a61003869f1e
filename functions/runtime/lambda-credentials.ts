/**
 * In place of the AWS SDK's search for credentials in files, processes, sign-ons and metadata services, a third of a
 * bundle: Lambda gives a function its role's in the environment, for as long as the process lives.
 */
export const defaultProvider = () => async () => ({
  accessKeyId: process.env.AWS_ACCESS_KEY_ID ?? "",
  secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY ?? "",
  sessionToken: process.env.AWS_SESSION_TOKEN,
});
